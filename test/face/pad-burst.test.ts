import { describe, expect, test } from 'vitest'
import { passivePad } from '../../src/face/pad/burst.ts'
import { homographyBetween, motionBetween } from '../../src/face/pad/plane.ts'
import { lookAt, type Moment, sequence } from './pad-looks.ts'

/** A head that looks to one side and back within a second. */
const turning: Moment[] = [0, 6, 12, 18, 24, 15, 9, 3].map((yaw) => ({ yaw }))
const nodding: Moment[] = [0, 5, 10, 15, 20, 13, 8, 3].map((pitch) => ({ pitch }))
const tilted: Moment[] = [0, 10, 20, 30, 40, 25, 15, 5].map((yaw) => ({ yaw, pitch: yaw / 3 }))

describe('a homography', () => {
  // x' = (2x + 3) / (0.1x + 1), y' = (y - 1) / (0.1x + 1), by hand.
  const known = ([x, y]: readonly [number, number]) =>
    [(2 * x + 3) / (0.1 * x + 1), (y - 1) / (0.1 * x + 1)] as const

  test('is found again from points that it moved, for others too', () => {
    const from = [
      [0, 0],
      [2, 1],
      [5, -2],
      [-3, 4],
      [1, 6],
    ] as const
    const map = homographyBetween(from, from.map(known))
    const [x, y] = map([4, 4])
    // (2*4 + 3) / 1.4 and (4 - 1) / 1.4
    expect(x).toBeCloseTo(7.857142857, 6)
    expect(y).toBeCloseTo(2.142857143, 6)
  })
})

describe('the motion between two views', () => {
  const motion = (one: Moment, other: Moment, flat: boolean) =>
    motionBetween(lookAt(one, flat).mesh.points, lookAt(other, flat).mesh.points)

  test('of a print is explained by a homography, at whatever angle and distance', () => {
    for (const other of [{ yaw: 40 }, { pitch: -30, yaw: 20 }, { roll: 25, yaw: 30, distance: 5 }]) {
      const { similarity, homography } = motion({}, other, true)
      expect(similarity).toBeGreaterThan(0.03)
      expect(homography).toBeLessThan(1e-4)
    }
  })

  test('of a head is not', () => {
    for (const other of [{ yaw: 20 }, { pitch: -20 }]) {
      const { similarity, homography } = motion({}, other, false)
      expect(homography).toBeGreaterThan(0.03)
      expect(homography).toBeLessThanOrEqual(similarity)
    }
  })

  test('is nothing where a face only moved, turned in its plane or came nearer', () => {
    expect(motion({}, { x: 100, y: 50, roll: 30, eyeDistancePx: 120 }, false).similarity).toBeLessThan(1e-4)
  })
})

describe('a burst', () => {
  test.each([
    ['turning', turning],
    ['nodding', nodding],
  ])('of a %s head is undecided, never bona fide', (_, moments) => {
    expect(passivePad(sequence(moments)).state).toBe('undecided')
  })

  test('of a tilted print is an attack', () => {
    const verdict = passivePad(sequence(tilted, { flat: true }))
    expect(verdict).toMatchObject({ state: 'attack', reason: 'the face turned as something flat does' })
  })

  test('of a print that is only moved and rotated is undecided: so does a head that is held still', () => {
    const moved = [0, 1, 2, 3, 4, 5].map((step) => ({ x: 300 + 10 * step, roll: 5 * step }))
    expect(passivePad(sequence(moved, { flat: true })).state).toBe('undecided')
  })

  test('with the same picture twice is an attack, wherever in it', () => {
    const frames = sequence(turning)
    frames[6] = { ...frames[6], sha256: frames[1].sha256 }
    expect(passivePad(frames)).toMatchObject({ state: 'attack', reason: 'the same picture came twice' })
  })

  test('with the same face to a hair in two pictures is an attack, though their bytes differ', () => {
    const frames = sequence(turning)
    frames[5] = { ...frames[5], look: frames[2].look }
    expect(passivePad(frames)).toMatchObject({
      state: 'attack',
      reason: 'two pictures show the very same face, to a hair',
    })
  })

  test('tells by its scores that the eyes were closed once', () => {
    const open = passivePad(sequence(turning)).scores
    const blinking = passivePad(
      sequence(turning.map((moment, i) => (i === 3 ? { ...moment, open: 0.2 } : moment))),
    )
    expect(open.blink).toBeGreaterThan(0.9)
    expect(blinking.scores.blink).toBeLessThan(0.3)
  })

  test('of four pictures is too short to say anything', () => {
    expect(passivePad(sequence(turning.slice(0, 4))).state).toBe('unavailable')
    expect(passivePad([]).state).toBe('unavailable')
  })
})
