import { describe, expect, test } from 'vitest'
import { passivePad } from '../../src/face/pad/burst.ts'
import { type Moment, sequence } from './pad-looks.ts'

/** A head that looks to one side and back within a second. */
const turning: Moment[] = [0, 6, 12, 18, 22, 15, 9, 3].map((yaw) => ({ yaw }))

describe('a burst', () => {
  test('of a turning head is undecided, never bona fide', () => {
    expect(passivePad(sequence(turning)).state).toBe('undecided')
  })

  test('of a turning print is an attack', () => {
    const verdict = passivePad(sequence(turning, { flat: true }))
    expect(verdict).toMatchObject({ state: 'attack', reason: 'the face turned as something flat does' })
  })

  test('of four pictures is too short to say anything', () => {
    expect(passivePad(sequence(turning.slice(0, 4))).state).toBe('unavailable')
  })
})
