const refuse = async (directory: string): Promise<never> => {
  throw new Error(`${directory}: parity directories can be read in Node only.`);
};
export const readText: (directory: string, name: string) => Promise<string> = refuse;
export const listFiles: (directory: string) => Promise<string[]> = refuse;
