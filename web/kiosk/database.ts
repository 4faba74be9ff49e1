// What the kiosk keeps in its browser: who it is, and what waits to be sent. Keys stay usable and cannot be read out.

const stores = ['kiosk', 'queue'] as const
type Store = (typeof stores)[number]

let opened: Promise<IDBDatabase> | undefined

function open(): Promise<IDBDatabase> {
  opened ??= new Promise((resolve, reject) => {
    const request = indexedDB.open('rollcall', 1)
    request.onupgradeneeded = () => {
      for (const store of stores) request.result.createObjectStore(store)
    }
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })
  return opened
}

/** Does something in one transaction; resolves once it is on disk. */
async function run<T>(
  names: Store[],
  mode: IDBTransactionMode,
  work: (store: (name: Store) => IDBObjectStore) => IDBRequest<T>,
): Promise<T> {
  const database = await open()
  return new Promise((resolve, reject) => {
    // What is acknowledged must outlast a power cut.
    const transaction = database.transaction(names, mode, { durability: 'strict' })
    const request = work((name) => transaction.objectStore(name))
    transaction.oncomplete = () => resolve(request.result)
    transaction.onabort = () => reject(transaction.error)
  })
}

export const read = <T>(store: Store, key: IDBValidKey): Promise<T | undefined> =>
  run([store], 'readonly', (at) => at(store).get(key))

export const write = (store: Store, key: IDBValidKey, value: unknown): Promise<unknown> =>
  run([store], 'readwrite', (at) => at(store).put(value, key))

export const remove = (store: Store, key: IDBValidKey): Promise<unknown> =>
  run([store], 'readwrite', (at) => at(store).delete(key))

export const count = (store: Store): Promise<number> => run([store], 'readonly', (at) => at(store).count())

/** The entry with the smallest key. */
export async function first<T>(store: Store): Promise<T | undefined> {
  const [value] = await run([store], 'readonly', (at) => at(store).getAll(null, 1))
  return value
}

/** An event of the queue, and how far the queue has come, together or not at all. */
export const append = (key: number, event: unknown, chain: unknown): Promise<unknown> =>
  run(['queue', 'kiosk'], 'readwrite', (at) => {
    at('queue').add(event, key)
    return at('kiosk').put(chain, 'chain')
  })
