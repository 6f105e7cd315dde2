import { constants } from 'node:os';

/** glibc's and musl's flag: the library stays loaded after dlclose. Node has no constant for it. */
const RTLD_NODELETE = 0x1000;

/**
 * Loads a plain shared library (by soname, or by path) with Node's own dlopen. Node then finds no addon in it and closes it
 * again, which `keep` outlives. Returns undefined when the library could be loaded, else the linker's words.
 */
export function loadLibrary(file: string, options: { keep?: boolean } = {}): string | undefined {
  const flags = constants.dlopen.RTLD_NOW | (options.keep ? RTLD_NODELETE : 0);
  try {
    process.dlopen({ exports: {} }, file, flags);
    return undefined;
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    return text.includes('did not self-register') ? undefined : text;
  }
}
