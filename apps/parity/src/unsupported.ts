/** What was asked for is not built, or was asked for wrongly: exit status 2, where a disagreement is 1. */
export class UnsupportedError extends Error {
  override readonly name = "UnsupportedError";
}
