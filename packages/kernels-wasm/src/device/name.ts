/** What launches of this package are made for. */
export const driverName = "wasm";
