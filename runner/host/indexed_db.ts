/** What was found out about an adapter, in a page: a text an adapter in the database of the page's origin. */
import { type AdapterIdentity, identityText } from '../tune/adapter.ts';
import type { TuningStore } from '../tune/store.ts';

const DATABASE = 'action3d';
const STORE = 'tuning';

/** `factory` is the page's `indexedDB`. Errors of the methods: what the browser says, as where it forbids storage. */
export function tuningEntry(identity: AdapterIdentity, factory: IDBFactory): TuningStore {
  const key = identityText(identity);

  async function within<T>(mode: IDBTransactionMode, body: (store: IDBObjectStore) => Promise<T>): Promise<T> {
    const opening = factory.open(DATABASE, 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore(STORE);
    const database = await settled(opening);
    try {
      const transaction = database.transaction(STORE, mode);
      const done = new Promise<void>((resolve, reject) => {
        transaction.oncomplete = () => resolve();
        transaction.onabort = () => reject(transaction.error);
      });
      const result = await body(transaction.objectStore(STORE));
      await done;
      return result;
    } finally {
      database.close();
    }
  }

  const read = async (store: IDBObjectStore): Promise<string | undefined> => {
    const held = await settled<unknown>(store.get(key));
    return held === undefined ? undefined : String(held);
  };
  return {
    name: `the browser's database '${DATABASE}'`,
    read: () => within('readonly', read),
    // A transaction that writes has the store to itself from its first request to its last.
    update: (change) =>
      within('readwrite', async (store) => {
        await settled(store.put(change(await read(store)), key));
      }),
    clear: () =>
      within('readwrite', async (store) => {
        const held = await read(store);
        await settled(store.delete(key));
        return held !== undefined;
      }),
  };
}

function settled<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
