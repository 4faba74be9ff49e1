/**
 * The inner loops that cut a network's input out of a picture: AssemblyScript, compiled to build/crop-kernel.wasm.
 * It owns its memory (exported, grown by the caller) and allocates nothing.
 *
 * A picture lies in it as RGB bytes, row by row, with a border of one black pixel all around, so that a sample at the
 * edge needs no other care than one within.
 */

/** The weighted sum of a pixel and the one below it, by colour; the fourth lane is meaningless. */
// @ts-ignore: decorator
@inline
function pixelAndBelow(at: usize, stride: usize, weights: v128): v128 {
  const upper = v128.load64_zero(at)
  const lower = v128.load64_zero(at + stride)
  // Each byte beside the one below it, widened to 16 bits, weighed and added.
  const pairs = i8x16.shuffle(upper, lower, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
  return i32x4.dot_i16x8_s(i16x8.extend_low_i8x16_u(pairs), weights)
}

/**
 * Halves a picture: each pixel the mean of four. An odd last row or column is left out.
 * @param from address of the picture, `width` x `height` pixels without its border
 * @param to address of the half, whose border is already black
 */
export function halve(from: usize, width: i32, height: i32, to: usize): void {
  const stride = <usize>((width + 2) * 3)
  const halfWidth = width >> 1
  const halfStride = <usize>((halfWidth + 2) * 3)
  const halfHeight = height >> 1
  const both = i16x8.splat(1)
  const rounding = i32x4.splat(2)
  for (let row = 0; row < halfHeight; row++) {
    let at = from + <usize>(2 * row + 1) * stride + 3
    let out = to + <usize>(row + 1) * halfStride + 3
    const end = out + <usize>(halfWidth * 3)
    while (out < end) {
      const four = i32x4.add(pixelAndBelow(at, stride, both), pixelAndBelow(at + 3, stride, both))
      const mean = i32x4.shr_u(i32x4.add(four, rounding), 2)
      const bytes = i8x16.narrow_i16x8_u(i16x8.narrow_i32x4_s(mean, mean), mean)
      store<u16>(out, <u16>i16x8.extract_lane_u(bytes, 0))
      store<u8>(out, i8x16.extract_lane_u(bytes, 2), 2)
      at += 6
      out += 3
    }
  }
}

/** A number of pixels in units of 2^-32. */
// @ts-ignore: decorator
@inline
function fixed(pixels: f64): i64 {
  return <i64>nearest(pixels * 4294967296)
}

/**
 * Cuts a square crop: see `warp` in align.ts.
 * @param picture address of the picture, `width` x `height` pixels without its border
 * @param a (with b, tx, ty) the similarity from crop to picture
 * @param size side of the crop in pixels
 * @param scale what a pixel is multiplied by
 * @param meanR (with meanG, meanB) what is subtracted then
 * @param red (with green, blue) addresses of the planes: size * size floats each
 */
export function warp(
  picture: usize,
  width: i32,
  height: i32,
  a: f64,
  b: f64,
  tx: f64,
  ty: f64,
  size: i32,
  scale: f32,
  meanR: f32,
  meanG: f32,
  meanB: f32,
  red: usize,
  green: usize,
  blue: usize,
): void {
  const stride = (width + 2) * 3
  const means = f32x4(meanR, meanG, meanB, 0)
  // The vertical weights are whole numbers that add up to 2^14.
  const scales = f32x4.splat(scale / 16384)
  // Places are counted in 2^-32 of a pixel of the bordered picture: whole numbers are read as addresses without
  // rounding, and adding them up loses nothing. What is not inside is black.
  const stepX = fixed(a)
  const stepY = fixed(b)
  const limitX = (<u64>(width + 1)) << 32
  const limitY = (<u64>(height + 1)) << 32
  let rowX = fixed(tx + 1)
  let rowY = fixed(ty + 1)
  let at: usize = 0
  for (let row = 0; row < size; row++) {
    let x = rowX
    let y = rowY
    for (let column = 0; column < size; column++) {
      let value = f32x4.splat(0)
      if (<u64>x < limitX && <u64>y < limitY) {
        const corner = picture + <usize>(<i32>(y >> 32) * stride + <i32>(x >> 32) * 3)
        const weight = <i32>(<u32>y >> 18)
        const weights = i32x4.splat((weight << 16) | (16384 - weight))
        const left = f32x4.convert_i32x4_s(pixelAndBelow(corner, <usize>stride, weights))
        const right = f32x4.convert_i32x4_s(pixelAndBelow(corner + 3, <usize>stride, weights))
        const share = f32x4.splat(<f32>(<i32>(<u32>x >> 8)) * <f32>5.9604644775390625e-8)
        value = f32x4.add(left, f32x4.mul(f32x4.sub(right, left), share))
      }
      const normal = f32x4.sub(f32x4.mul(value, scales), means)
      store<f32>(red + at, f32x4.extract_lane(normal, 0))
      store<f32>(green + at, f32x4.extract_lane(normal, 1))
      store<f32>(blue + at, f32x4.extract_lane(normal, 2))
      at += 4
      x += stepX
      y += stepY
    }
    rowX -= stepY
    rowY += stepX
  }
}
