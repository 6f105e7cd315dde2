/** What a call prints on stdout, and what it returned or threw. */
export async function captured(call: () => Promise<number>): Promise<{ code?: number; failure?: Error; text: string }> {
  const write = process.stdout.write;
  let text = '';
  process.stdout.write = ((part: string) => {
    text += part;
    return true;
  }) as typeof write;
  try {
    return { code: await call(), text };
  } catch (failure) {
    return { failure: failure as Error, text };
  } finally {
    process.stdout.write = write;
  }
}
