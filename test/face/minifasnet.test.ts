import { describe, expect, test } from 'vitest'
import type { Picture } from '../../src/face/decode.ts'
import { cropAround, placeAround } from '../../src/face/minifasnet.ts'

const picture = (width: number, height: number): Picture => ({
  data: new Uint8Array(width * height * 3),
  width,
  height,
})

describe('the crop around a face', () => {
  test('is its box times the scale, about its centre, rounded down', () => {
    // Centre (200.5, 151), 40 x 50 times 2.7: 108 x 135.
    expect(placeAround({ x: 180.5, y: 126, width: 40, height: 50 }, 2.7, picture(640, 480))).toEqual({
      left: 146,
      top: 83,
      right: 254,
      bottom: 218,
    })
  })

  test('is moved inside the picture', () => {
    expect(placeAround({ x: 0, y: 430, width: 40, height: 50 }, 2, picture(640, 480))).toEqual({
      left: 0,
      top: 379,
      right: 80,
      bottom: 479,
    })
  })

  test('is no larger than the picture allows, and keeps the shape of the box', () => {
    // 479 / 240 is less than 4: 479 high and 239.5 wide about (320, 240).
    expect(placeAround({ x: 260, y: 120, width: 120, height: 240 }, 4, picture(640, 480))).toEqual({
      left: 200,
      top: 0,
      right: 439,
      bottom: 479,
    })
  })

  test('comes as blue, green and red, not scaled, and stretched to a square', () => {
    const one = picture(160, 80)
    for (let y = 0; y < 80; y++) for (let x = 0; x < 160; x++) one.data.set([x, y, 7], (y * 160 + x) * 3)
    const crop = cropAround(one, { left: 0, top: 0, right: 159, bottom: 79 })
    const at = (plane: number, row: number, column: number) => crop[plane * 6400 + row * 80 + column]
    expect(at(0, 40, 40)).toBe(7)
    expect(at(1, 33, 5)).toBe(33)
    // Two columns on each of the input's: between the pixels 20 and 21.
    expect(at(2, 3, 10)).toBe(20.5)
  })
})
