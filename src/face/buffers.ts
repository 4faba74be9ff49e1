/**
 * Lends buffers for the networks' inputs and keeps them for the next picture. A new one each time would be 3 MB a
 * picture outside the JavaScript heap, which makes V8 collect everything after every third: a tenth of the CPU time.
 */
const free = new Map<number, Float32Array[]>()

/** Runs `work` with a buffer of so many floats, of which it must write every one; afterwards the buffer is lent anew. */
export async function withBuffer<T>(length: number, work: (buffer: Float32Array) => Promise<T>): Promise<T> {
  const buffers = free.get(length) ?? []
  free.set(length, buffers)
  const buffer = buffers.pop() ?? new Float32Array(length)
  try {
    return await work(buffer)
  } finally {
    buffers.push(buffer)
  }
}
