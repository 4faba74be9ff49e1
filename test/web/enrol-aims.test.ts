import { describe, expect, test } from 'vitest'
import { judge, placeFault } from '../../web/admin/employees/enrol/aims.ts'

const picture = { width: 640, height: 480 }
/** A face of this side with its middle there. */
const face = (side: number, x = 320, y = 240) => ({
  x: x - side / 2,
  y: y - side / 2,
  width: side,
  height: side,
  score: 0.9,
})
const look = (yaw: number, score = 1, reasons: string[] = []) => ({
  pose: { yaw },
  quality: { score, reasons },
})

describe('where a face is', () => {
  test.each([
    ['nobody', [], 'nobody'],
    ['several', [face(150), face(140, 100)], 'several'],
    ['far', [face(60)], 'closer'],
    ['still', [face(90)], 'closer'],
    ['still', [face(400)], 'back'],
    ['still', [face(150, 500)], 'centre'],
    ['still', [face(150, 320, 380)], 'centre'],
    ['moving', [face(150)], 'still'],
    ['still', [face(150)], undefined],
  ] as const)('is told where it is %s: %#', (sight, boxes, hint) => {
    expect(placeFault(sight, boxes, picture)).toBe(hint)
  })
})

describe('a picture', () => {
  test('is taken where the head is turned as it should be, and else is told how', () => {
    expect([look(2), look(15), look(-15)].map((one) => judge(one, 'straight'))).toEqual([
      'good',
      'straight',
      'straight',
    ])
    expect([look(15), look(2), look(-15), look(30)].map((one) => judge(one, 'left'))).toEqual([
      'good',
      'left',
      'left',
      'less',
    ])
    expect([look(-15), look(-2), look(15), look(-30)].map((one) => judge(one, 'right'))).toEqual([
      'good',
      'right',
      'right',
      'less',
    ])
  })

  test('that the server would refuse is not taken, and it is said what to do about the worst', () => {
    const reasons = ['exposure', 'sharpness']
    expect(judge(look(0, 0.4, reasons), 'straight')).toBe('light')
    expect(judge(look(0, 0.4, ['occlusion']), 'straight')).toBe('cover')
    expect(judge(look(0, 0.79, ['sharpness']), 'straight')).toBe('still')
  })
})
