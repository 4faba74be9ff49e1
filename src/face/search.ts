/** Exact nearest people in the gallery: every template as a row of Float32 matrices in WebAssembly memory. */
import { growTo, instantiateKernel, type KernelMemory, loadKernel } from './kernel.ts'

/** One person found: the best of their templates, and which one it was. */
export interface Match {
  key: string
  /** Dot product of query and template: the cosine when both have length 1. */
  score: number
  /** Position in the vectors that were given to `set`. */
  templateIndex: number
}

interface Person {
  key: string
  /** Where this person stands in `#people`. */
  index: number
  /** Their rows, in the order of their vectors. */
  rows: number[]
}

interface Kernel {
  memory: KernelMemory
  dots(matrix: number, rows: number, dimension: number, query: number, out: number): void
  pass(matrix: number, floats: number): number
}

const kernelName = 'search-kernel'

/** A matrix of templates, grouped by person. Synchronous: a search never sees half a change. */
export class GalleryMatrix {
  readonly dimension: number
  /** The parts of the matrix; public for the benchmark, which times their kernels alone. */
  readonly segments: Segment[] = []
  readonly #rowsPerSegment: number
  readonly #byKey = new Map<string, Person>()
  readonly #people: Person[] = []
  #rows = 0
  /** Index into `#people` of each row. */
  #owners = new Int32Array(64)
  #scores = new Float32Array(64)

  /**
   * @param dimension floats in a vector, 1 to 65,536
   * @param rowsPerSegment rows in one WebAssembly memory, which can hold 4 GiB at most: a larger gallery takes
   *   several. Rounded up to a multiple of 4.
   * @throws RangeError for other dimensions or sizes; Error when the kernel has not been built
   */
  constructor(dimension: number, rowsPerSegment = 65_536) {
    if (!Number.isInteger(dimension) || dimension < 1 || dimension > 65_536) {
      throw new RangeError(`A vector has 1 to 65,536 dimensions, not ${dimension}.`)
    }
    if (!Number.isInteger(rowsPerSegment) || rowsPerSegment < 1) {
      throw new RangeError(`A segment holds a positive number of rows, not ${rowsPerSegment}.`)
    }
    this.dimension = dimension
    // 2 GiB leaves room for the scores, and keeps every count inside the kernel's signed 32 bits.
    const rowsThatFit = 2 ** 31 / (4 * roundUp(dimension, 16))
    this.#rowsPerSegment = Math.min(roundUp(rowsPerSegment, 4), Math.floor(rowsThatFit / 4) * 4)
    loadKernel(kernelName)
  }

  /** The number of people with at least one template. */
  get people(): number {
    return this.#people.length
  }

  /** The number of templates of all people. */
  get rows(): number {
    return this.#rows
  }

  has(key: string): boolean {
    return this.#byKey.has(key)
  }

  /**
   * Replaces all templates of a person; no vectors removes the person. The vectors are copied.
   * @throws RangeError (and nothing has changed) for a wrong dimension or numbers that are not finite;
   *   Error (and nothing has changed) when there is no memory left
   */
  set(key: string, vectors: readonly Float32Array[]): void {
    for (const vector of vectors) this.#check(vector)
    let person = this.#byKey.get(key)
    this.#reserve(this.#rows + Math.max(0, vectors.length - (person?.rows.length ?? 0)))
    if (!person) {
      if (vectors.length === 0) return
      person = { key, index: this.#people.length, rows: [] }
      this.#byKey.set(key, person)
      this.#people.push(person)
    }
    this.#dropRows(person, vectors.length)
    while (person.rows.length < vectors.length) {
      this.#owners[this.#rows] = person.index
      person.rows.push(this.#rows++)
    }
    person.rows.forEach((row, i) => {
      this.#write(row, vectors[i])
    })
    if (vectors.length === 0) this.#dropPerson(person)
  }

  /** Removes a person and overwrites their templates. Says whether they were there. */
  remove(key: string): boolean {
    const wasThere = this.has(key)
    this.set(key, [])
    return wasThere
  }

  /** Copies of a person's templates in the order of `set`; none for a person who is not there. */
  vectorsOf(key: string): Float32Array[] {
    return (this.#byKey.get(key)?.rows ?? []).map((row) => this.#read(row))
  }

  /**
   * The key of the person whose template a row is.
   * @throws RangeError when there is no such row
   */
  ownerOf(row: number): string {
    if (!Number.isInteger(row) || row < 0 || row >= this.#rows)
      throw new RangeError(`There is no row ${row}.`)
    return this.#people[this.#owners[row]].key
  }

  /**
   * The score of every row, in the order of the rows.
   * The result is a view that the next `scores` or `search` overwrites; rows move with `set` and `remove`.
   * @throws RangeError for a wrong dimension or numbers that are not finite
   */
  scores(query: Float32Array): Float32Array {
    this.#check(query)
    const scores = this.#scores.subarray(0, this.#rows)
    for (let i = 0, row = 0; row < this.#rows; i++, row += this.#rowsPerSegment) {
      scores.set(this.segments[i].dots(query, Math.min(this.#rowsPerSegment, this.#rows - row)), row)
    }
    return scores
  }

  /**
   * The k best people, each by the best of their templates, best first; equal scores in the order of the keys.
   * Meant for a small k (up to hundreds): the cost of a row that makes the list grows with k.
   * @throws RangeError for a wrong query or a k that is not a positive whole number
   */
  search(query: Float32Array, k: number): Match[] {
    if (!Number.isInteger(k) || k < 1) throw new RangeError(`k must be a positive whole number, not ${k}.`)
    const scores = this.scores(query)
    const best: number[] = []
    // The worst score of a full list: nearly every row costs no more than the comparison with it.
    let bar = Number.NEGATIVE_INFINITY
    for (let row = 0; row < scores.length; row++) {
      if (scores[row] < bar) continue
      this.#insert(row, best, scores, k)
      if (best.length === k) bar = scores[best[k - 1]]
    }
    return best.map((row) => {
      const person = this.#people[this.#owners[row]]
      return { key: person.key, score: scores[row], templateIndex: person.rows.indexOf(row) }
    })
  }

  /** Puts a row into the list of at most k rows, best first and one a person, if it belongs there. */
  #insert(row: number, best: number[], scores: Float32Array, k: number): void {
    const owners = this.#owners
    const owner = owners[row]
    // The place to give up: that of the same person's other row, else the end of a full list, else a new one.
    let at = 0
    while (at < best.length && owners[best[at]] !== owner) at++
    if (at === k) at--
    if (at < best.length && !this.#precedes(row, best[at], scores)) return
    for (; at > 0 && this.#precedes(row, best[at - 1], scores); at--) best[at] = best[at - 1]
    best[at] = row
  }

  /** Equal scores go by key, then by position in `set`: row numbers depend on past removals. */
  #precedes(row: number, other: number, scores: Float32Array): boolean {
    if (scores[row] !== scores[other]) return scores[row] > scores[other]
    const person = this.#people[this.#owners[row]]
    const otherPerson = this.#people[this.#owners[other]]
    if (person === otherPerson) return person.rows.indexOf(row) < person.rows.indexOf(other)
    return person.key < otherPerson.key
  }

  /** Keeps a person's first rows and gives up the others; the matrix's last rows move into the holes. */
  #dropRows(person: Person, keep: number): void {
    while (person.rows.length > keep) {
      const hole = person.rows.pop()!
      const last = --this.#rows
      if (hole !== last) {
        const owner = this.#people[this.#owners[last]]
        this.#write(hole, this.#read(last))
        this.#owners[hole] = owner.index
        owner.rows[owner.rows.indexOf(last)] = hole
      }
      // A template that was removed must not stay in memory.
      this.#write(last, new Float32Array(this.dimension))
    }
  }

  #dropPerson(person: Person): void {
    this.#byKey.delete(person.key)
    const last = this.#people.pop()!
    if (last === person) return
    this.#people[person.index] = last
    last.index = person.index
    for (const row of last.rows) this.#owners[row] = last.index
  }

  /** Makes room for so many rows in all. Only owners and scores are ever copied, 8 bytes a row. */
  #reserve(rows: number): void {
    try {
      for (let i = 0, row = 0; row < rows; i++, row += this.#rowsPerSegment) {
        this.segments[i] ??= new Segment(this.dimension, this.#rowsPerSegment)
        this.segments[i].reserve(Math.min(this.#rowsPerSegment, rows - row))
      }
    } catch (cause) {
      throw new Error(`There is not enough memory for a gallery of ${rows} templates.`, { cause })
    }
    if (rows <= this.#owners.length) return
    const capacity = Math.max(rows, 2 * this.#owners.length)
    const owners = new Int32Array(capacity)
    owners.set(this.#owners)
    this.#owners = owners
    this.#scores = new Float32Array(capacity)
  }

  #read(row: number): Float32Array {
    return this.segments[Math.floor(row / this.#rowsPerSegment)].read(row % this.#rowsPerSegment)
  }

  #write(row: number, vector: Float32Array): void {
    this.segments[Math.floor(row / this.#rowsPerSegment)].write(row % this.#rowsPerSegment, vector)
  }

  #check(vector: Float32Array): void {
    if (vector.length !== this.dimension) {
      throw new RangeError(`A vector has ${vector.length} dimensions, the gallery has ${this.dimension}.`)
    }
    // Four sums, because every search waits for this: one sum would wait for each addition in turn.
    let [a, b, c, d] = [0, 0, 0, 0]
    let i = 0
    for (; i + 3 < vector.length; i += 4) {
      a += vector[i] ** 2
      b += vector[i + 1] ** 2
      c += vector[i + 2] ** 2
      d += vector[i + 3] ** 2
    }
    for (; i < vector.length; i++) a += vector[i] ** 2
    const squares = a + b + c + d
    // By Cauchy-Schwarz no score of two such vectors, nor a part of its sum, can leave the range of a float32.
    if (!(squares < 3.4e38))
      throw new RangeError('A vector holds numbers that are not finite or far too large.')
  }
}

/** Up to a fixed number of rows in a WebAssembly memory of their own, which grows in place. */
class Segment {
  readonly #kernel = instantiateKernel<Kernel>(kernelName)
  readonly #dimension: number
  /** Floats that a row takes: the dimension, padded as the kernel wants it. */
  readonly #stride: number
  readonly #maxRows: number
  /** Where the rows begin, in floats. The query is at 0, the scores behind it. */
  readonly #start: number
  #capacity = 0
  #floats = new Float32Array(0)

  constructor(dimension: number, maxRows: number) {
    this.#dimension = dimension
    this.#stride = roundUp(dimension, 16)
    this.#maxRows = maxRows
    // Room for the scores of all the rows there may ever be: the system hands out pages when they are touched.
    this.#start = this.#stride + roundUp(maxRows, 16)
  }

  /** Makes room for so many rows, at least doubling the room there is. */
  reserve(rows: number): void {
    if (rows <= this.#capacity) return
    const capacity = Math.min(this.#maxRows, roundUp(Math.max(rows, 2 * this.#capacity, 64), 4))
    const memory = this.#kernel.memory
    const bytes = 4 * (this.#start + capacity * this.#stride)
    growTo(memory, bytes)
    this.#capacity = capacity
    this.#floats = new Float32Array(memory.buffer)
  }

  read(row: number): Float32Array {
    const vector = new Float32Array(this.#dimension)
    for (let i = 0, at = this.#offset(row); i < vector.length; i += 4, at += 16) {
      vector.set(this.#floats.subarray(at, at + Math.min(4, vector.length - i)), i)
    }
    return vector
  }

  write(row: number, vector: Float32Array): void {
    for (let i = 0, at = this.#offset(row); i < vector.length; i++, at += i % 4 === 0 ? 13 : 1) {
      this.#floats[at] = vector[i]
    }
  }

  /** The scores of the first rows: a view valid until the next call. */
  dots(query: Float32Array, rows: number): Float32Array {
    this.#floats.set(query)
    this.#kernel.dots(4 * this.#start, roundUp(rows, 4), this.#stride, 0, 4 * this.#stride)
    return this.#floats.subarray(this.#stride, this.#stride + rows)
  }

  /** Reads the same bytes as `dots` and does nothing with them: the benchmark's yardstick. */
  pass(rows: number): number {
    return this.#kernel.pass(4 * this.#start, roundUp(rows, 4) * this.#stride)
  }

  /** Where a row's first float is; its floats lie in fours, each 16 after the one before (see the kernel). */
  #offset(row: number): number {
    return this.#start + Math.floor(row / 4) * 4 * this.#stride + (row % 4) * 4
  }
}

function roundUp(value: number, multiple: number): number {
  return Math.ceil(value / multiple) * multiple
}
