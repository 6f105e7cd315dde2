declare module 'wgsl-preprocessor/wgsl-preprocessor.js' {
  /** Template tag with `#if ${…}`, `#elif ${…}`, `#else`, `#endif`; every directive ends its string chunk. */
  export function wgsl(strings: TemplateStringsArray, ...values: unknown[]): string;
}
