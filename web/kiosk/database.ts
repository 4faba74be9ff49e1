// What the kiosk keeps in its browser: who it is, and what waits to be sent. Keys stay usable and cannot be read out.

type Store = 'kiosk' | 'queue'

let opened: Promise<IDBDatabase> | undefined

function open(): Promise<IDBDatabase> {
  opened ??= new Promise((resolve, reject) => {
    const request = indexedDB.open('rollcall', 2)
    request.onupgradeneeded = ({ oldVersion }) => {
      if (oldVersion === 0) request.result.createObjectStore('kiosk')
      if (oldVersion === 1) renewQueue(request.result, request.transaction!)
      else createQueue(request.result)
    }
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })
  return opened
}

/** In the order in which things came; a number of the kiosk's own would begin anew with each pairing. */
const createQueue = (database: IDBDatabase) =>
  database.createObjectStore('queue', { keyPath: 'place', autoIncrement: true })

/** Version 1 had the events under their number in the chain. */
function renewQueue(database: IDBDatabase, upgrade: IDBTransaction): void {
  const reading = upgrade.objectStore('queue').getAll()
  reading.onsuccess = () => {
    database.deleteObjectStore('queue')
    const queue = createQueue(database)
    for (const event of reading.result) queue.add(event)
  }
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

/** The first that waits behind a place in the queue. */
export async function firstAfter<T>(place: number): Promise<(T & { place: number }) | undefined> {
  const behind = IDBKeyRange.lowerBound(place, true)
  const [value] = await run(['queue'], 'readonly', (at) => at('queue').getAll(behind, 1))
  return value
}

/** An event of the queue, and how far the queue has come, together or not at all. */
export const append = (event: unknown, chain: unknown): Promise<unknown> =>
  run(['queue', 'kiosk'], 'readwrite', (at) => {
    at('queue').add(event)
    return at('kiosk').put(chain, 'chain')
  })
