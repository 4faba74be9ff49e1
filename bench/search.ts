/**
 * What a search of the gallery costs, held against one pass over the same bytes in the same run.
 * Alone: `npx tsx bench/search.ts` (after `npm run build`).
 */
import { pathToFileURL } from 'node:url'
import { GalleryMatrix } from '../src/face/search.ts'

/** Milliseconds per probe: medians of interleaved runs. */
export interface Timing {
  wallMs: number
  cpuMs: number
}

export interface SearchResult {
  /** Templates, one a person. */
  rows: number
  dimension: number
  /** The whole search for the 5 best people. */
  search: Timing
  /** Its kernel alone. */
  dots: Timing
  /** The reference: a SIMD pass that only reads the same bytes. */
  pass: Timing
  /** A plain unrolled JavaScript loop over the same rows: scores only. */
  plainLoop: Timing
  /** Medians of the ratios of wall time within a round. */
  searchToPass: number
  searchToPlainLoop: number
}

const dimension = 1152
const rowsPerSegment = 65_536
const peopleWanted = 5

/** Measures the search at 1,000, 10,000 and 100,000 templates of the embedded pack's dimension. */
export async function benchSearch(): Promise<SearchResult[]> {
  const results: SearchResult[] = []
  for (const rows of [1_000, 10_000, 100_000]) {
    results.push(measure(rows))
    // Lets the caller print, and the memory of the last gallery go.
    await new Promise((resolve) => setImmediate(resolve))
  }
  return results
}

function measure(rows: number): SearchResult {
  const gallery = new GalleryMatrix(dimension, rowsPerSegment)
  const plain = new Float32Array(rows * dimension)
  const random = randomNumbers()
  for (let row = 0; row < rows; row++) {
    const vector = unitVector(random)
    plain.set(vector, row * dimension)
    gallery.set(`person ${row}`, [vector])
  }
  const query = unitVector(random)
  const plainScores = new Float32Array(rows)
  const rowsIn = (segment: number) => Math.min(rowsPerSegment, rows - segment * rowsPerSegment)
  const kinds = {
    pass: () => gallery.segments.forEach((segment, i) => void segment.pass(rowsIn(i))),
    dots: () => gallery.segments.forEach((segment, i) => void segment.dots(query, rowsIn(i))),
    search: () => void gallery.search(query, peopleWanted),
    plainLoop: () => plainLoop(plain, query, plainScores),
  }
  // A turn of some milliseconds, so that the clocks' resolution does not matter; more turns where they are short.
  const repeats = Math.max(1, Math.round(20_000 / rows))
  const rounds = rows > 50_000 ? 31 : 101
  const timings = interleaved(kinds, repeats, rounds)
  const ratio = (a: Timing[], b: Timing[]) => median(a.map((timing, i) => timing.wallMs / b[i].wallMs))
  return {
    rows,
    dimension,
    search: medianOf(timings.search),
    dots: medianOf(timings.dots),
    pass: medianOf(timings.pass),
    plainLoop: medianOf(timings.plainLoop),
    searchToPass: ratio(timings.search, timings.pass),
    searchToPlainLoop: ratio(timings.search, timings.plainLoop),
  }
}

/** Times the kinds in turn, again and again, so that a slow spell of the machine hits all of them. */
function interleaved<K extends string>(kinds: Record<K, () => void>, repeats: number, rounds: number) {
  const names = Object.keys(kinds) as K[]
  const timings = Object.fromEntries(names.map((name) => [name, []])) as unknown as Record<K, Timing[]>
  const warmUpRounds = 5
  for (let round = -warmUpRounds; round < rounds; round++) {
    for (const name of names) {
      const cpu = process.cpuUsage()
      const start = performance.now()
      for (let i = 0; i < repeats; i++) kinds[name]()
      const wallMs = (performance.now() - start) / repeats
      const { user, system } = process.cpuUsage(cpu)
      if (round >= 0) timings[name].push({ wallMs, cpuMs: (user + system) / 1000 / repeats })
    }
  }
  return timings
}

/** Row-major dot products with four sums: what one would write without SIMD. */
function plainLoop(matrix: Float32Array, query: Float32Array, scores: Float32Array): void {
  const { length } = query
  for (let row = 0, at = 0; row < scores.length; row++) {
    let a = 0
    let b = 0
    let c = 0
    let d = 0
    for (let i = 0; i < length; i += 4, at += 4) {
      a += matrix[at] * query[i]
      b += matrix[at + 1] * query[i + 1]
      c += matrix[at + 2] * query[i + 2]
      d += matrix[at + 3] * query[i + 3]
    }
    scores[row] = a + b + c + d
  }
}

function unitVector(random: () => number): Float32Array {
  const vector = new Float32Array(dimension)
  let squares = 0
  for (let i = 0; i < dimension; i++) {
    vector[i] = random()
    squares += vector[i] ** 2
  }
  const length = Math.sqrt(squares)
  for (let i = 0; i < dimension; i++) vector[i] /= length
  return vector
}

/** xorshift32, from -0.5 to 0.5: the same gallery in every run. */
function randomNumbers(): () => number {
  let state = 2463534242
  return () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return state / 2 ** 32
  }
}

function medianOf(timings: Timing[]): Timing {
  return {
    wallMs: median(timings.map((timing) => timing.wallMs)),
    cpuMs: median(timings.map((timing) => timing.cpuMs)),
  }
}

function median(values: number[]): number {
  return values.sort((a, b) => a - b)[values.length >> 1]
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const round = (value: number) => Number(value.toFixed(3))
  const cells = ({ wallMs, cpuMs }: Timing) => `${round(wallMs)} / ${round(cpuMs)}`
  console.log('milliseconds per probe: wall / CPU')
  console.table(
    (await benchSearch()).map((result) => ({
      rows: result.rows,
      search: cells(result.search),
      dots: cells(result.dots),
      pass: cells(result.pass),
      'plain loop': cells(result.plainLoop),
      'search : pass': round(result.searchToPass),
      'search : plain loop': round(result.searchToPlainLoop),
    })),
  )
}
