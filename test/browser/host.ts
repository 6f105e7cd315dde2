/** What runner/host/node.ts gives a test file, in a page: test/browser/bundle.ts puts this file in its place. */
export { openGpu } from '../../runner/host/web.ts';

/** A page ends with its tests: there is no process to leave. */
export async function exit(_code: number): Promise<void> {}
