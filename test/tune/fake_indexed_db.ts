/** As much of IndexedDB as runner/host/indexed_db.ts uses: one database, transactions one after the other. */

type Handler = (() => void) | null;

interface FakeRequest {
  result?: unknown;
  error?: Error;
  onsuccess: Handler;
  onerror: Handler;
  onupgradeneeded: Handler;
}

/** `forbidden`: as a browser whose user has switched storage off. */
export function fakeIndexedDb({ forbidden = false } = {}): IDBFactory {
  const stores = new Map<string, Map<string, unknown>>();
  let last: Promise<void> = Promise.resolve();

  const later = (action: (request: FakeRequest) => void, after: Promise<void> = Promise.resolve()): FakeRequest => {
    const made: FakeRequest = { onsuccess: null, onerror: null, onupgradeneeded: null };
    after.then(() => {
      action(made);
      if (made.error) made.onerror?.();
      else made.onsuccess?.();
    });
    return made;
  };

  function transaction(name: string, mode: string) {
    const before = last;
    let pending = 0;
    let end: () => void = () => undefined;
    const ended = new Promise<void>((resolve) => {
      end = resolve;
    });
    last = Promise.all([before, ended]).then(() => undefined);
    const self = { oncomplete: null as Handler, onabort: null as Handler, error: null, objectStore };
    // A transaction is over once no request is left and none was made while the last one was answered.
    const settle = () =>
      setTimeout(() => {
        if (pending > 0) return;
        self.oncomplete?.();
        end();
      });
    function request(action: (store: Map<string, unknown>) => unknown) {
      pending++;
      return later((made) => {
        made.result = action(stores.get(name) as Map<string, unknown>);
        pending--;
        settle();
      }, before);
    }
    function objectStore() {
      const writable = (action: (store: Map<string, unknown>) => unknown) => {
        if (mode !== 'readwrite') throw new Error('ReadOnlyError');
        return request(action);
      };
      return {
        get: (key: string) => request((store) => store.get(key)),
        put: (value: unknown, key: string) => writable((store) => store.set(key, value) && key),
        delete: (key: string) => writable((store) => void store.delete(key)),
      };
    }
    return self;
  }

  return {
    open: () =>
      later((made) => {
        if (forbidden) made.error = new Error('storage is off');
        const fresh = stores.size === 0;
        made.result = { createObjectStore: (name: string) => stores.set(name, new Map()), transaction, close() {} };
        if (fresh && !forbidden) made.onupgradeneeded?.();
      }),
  } as unknown as IDBFactory;
}
