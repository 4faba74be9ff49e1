/**
 * The inner loop of the gallery search: AssemblyScript, compiled to build/search-kernel.wasm.
 * It owns its memory (exported, grown by the caller) and allocates nothing.
 *
 * Four rows are interleaved, four floats at a time: a0-3 b0-3 c0-3 d0-3 a4-7 b4-7 ... One load of the query
 * then serves four rows while the matrix is still read strictly forwards. (Four plain rows read side by side
 * are four streams, which the processor's prefetcher follows at less than half the speed.)
 */

/** The sum of the four lanes. */
// @ts-ignore: decorator
@inline
function sum(lanes: v128): f32 {
  return (
    f32x4.extract_lane(lanes, 0) +
    f32x4.extract_lane(lanes, 1) +
    (f32x4.extract_lane(lanes, 2) + f32x4.extract_lane(lanes, 3))
  )
}

/**
 * The dot product of every row with the query.
 * @param matrix address of the interleaved rows
 * @param rows their number, a multiple of 4
 * @param dimension floats in a row and in the query, zero-padded to a multiple of 16
 * @param query address of the query
 * @param out address of the scores: one float a row
 */
export function dots(matrix: usize, rows: i32, dimension: i32, query: usize, out: usize): void {
  const queryEnd = query + ((<usize>dimension) << 2)
  const outEnd = out + ((<usize>rows) << 2)
  while (out < outEnd) {
    let a = f32x4.splat(0)
    let b = f32x4.splat(0)
    let c = f32x4.splat(0)
    let d = f32x4.splat(0)
    let at = query
    // V8 does all the loads of a turn first: eight of the matrix, two of the query and the four sums just fit
    // the 15 SIMD registers that it hands out. More of any spills to the stack, which was a third slower.
    while (at < queryEnd) {
      const q0 = v128.load(at)
      a = f32x4.add(a, f32x4.mul(v128.load(matrix), q0))
      b = f32x4.add(b, f32x4.mul(v128.load(matrix, 16), q0))
      c = f32x4.add(c, f32x4.mul(v128.load(matrix, 32), q0))
      d = f32x4.add(d, f32x4.mul(v128.load(matrix, 48), q0))
      const q1 = v128.load(at, 16)
      a = f32x4.add(a, f32x4.mul(v128.load(matrix, 64), q1))
      b = f32x4.add(b, f32x4.mul(v128.load(matrix, 80), q1))
      c = f32x4.add(c, f32x4.mul(v128.load(matrix, 96), q1))
      d = f32x4.add(d, f32x4.mul(v128.load(matrix, 112), q1))
      at += 32
      matrix += 128
    }
    store<f32>(out, sum(a))
    store<f32>(out, sum(b), 4)
    store<f32>(out, sum(c), 8)
    store<f32>(out, sum(d), 12)
    out += 16
  }
}

/**
 * Reads the same bytes and only adds them up: the yardstick that the benchmark holds `dots` against.
 * @param matrix address of the first float
 * @param floats their number, a multiple of 32
 */
export function pass(matrix: usize, floats: i32): f32 {
  const end = matrix + ((<usize>floats) << 2)
  let a = f32x4.splat(0)
  let b = f32x4.splat(0)
  let c = f32x4.splat(0)
  let d = f32x4.splat(0)
  let e = f32x4.splat(0)
  let f = f32x4.splat(0)
  let g = f32x4.splat(0)
  let h = f32x4.splat(0)
  while (matrix < end) {
    a = f32x4.add(a, v128.load(matrix))
    b = f32x4.add(b, v128.load(matrix, 16))
    c = f32x4.add(c, v128.load(matrix, 32))
    d = f32x4.add(d, v128.load(matrix, 48))
    e = f32x4.add(e, v128.load(matrix, 64))
    f = f32x4.add(f, v128.load(matrix, 80))
    g = f32x4.add(g, v128.load(matrix, 96))
    h = f32x4.add(h, v128.load(matrix, 112))
    matrix += 128
  }
  const left = f32x4.add(f32x4.add(a, b), f32x4.add(c, d))
  const right = f32x4.add(f32x4.add(e, f), f32x4.add(g, h))
  return sum(f32x4.add(left, right))
}
