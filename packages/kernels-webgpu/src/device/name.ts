/** What kernels of this package are made for, and devices of it are called. */
export const driverName = "webgpu";
