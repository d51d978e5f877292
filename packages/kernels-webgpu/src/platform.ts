/** What differs between Node and browsers: where the GPU object comes from. */
export interface Platform {
  /** The entry point of WebGPU, or words on why there is none. */
  gpu(): Promise<GPU | string>;
}
