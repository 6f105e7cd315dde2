/** What a call prints on stdout, and what it returned or threw. */
export async function captured<T>(call: () => Promise<T>): Promise<{ code?: T; failure?: Error; text: string }> {
  const write = process.stdout.write;
  let text = '';
  process.stdout.write = ((part: string, done?: () => void) => {
    text += part;
    done?.();
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

/** The same of a call that must not fail. @throws what it throws */
export async function printed<T>(call: () => Promise<T>): Promise<{ code: T; text: string }> {
  const { code, failure, text } = await captured(call);
  if (failure) throw failure;
  return { code: code as T, text };
}
