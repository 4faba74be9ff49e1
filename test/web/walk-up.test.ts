import { beforeEach, describe, expect, test } from 'vitest'
import { type FaceBox, watchWalkUps } from '../../web/kiosk/walk-up.ts'

const picture = { width: 1280, height: 720 }
/** A face of this side in the middle, moved to the right by `right`. */
const face = (side: number, right = 0, score = 0.9): FaceBox => ({
  x: 640 - side / 2 + right,
  y: 360 - side / 2,
  width: side,
  height: side,
  score,
})

let watcher: ReturnType<typeof watchWalkUps>
let at: number
beforeEach(() => {
  watcher = watchWalkUps()
  at = 0
})

/** Looks every 150 ms; what is seen at the last look. */
function look(boxes: FaceBox[], times = 1) {
  let sight = watcher.see(boxes, picture, at)
  at += 150
  for (let more = 1; more < times; more++) {
    sight = watcher.see(boxes, picture, at)
    at += 150
  }
  return sight
}

describe('who walks up', () => {
  test('is taken once they stand still for half a second, and not before', () => {
    expect(look([])).toBe('nobody')
    expect(look([face(200)], 3)).toBe('moving')
    expect(look([face(200)], 2)).toBe('still')
  })

  test('is not taken while they walk', () => {
    for (let step = 0; step < 10; step++) expect(look([face(200, step * 40)])).toBe('moving')
  })

  test('may sway a little', () => {
    const swaying = [0, 6, -6, 5, -4].map((right) => look([face(200, right)]))
    expect(swaying.at(-1)).toBe('still')
  })

  test('is asked to come closer where the face is small', () => {
    expect(look([face(100)], 5)).toBe('far')
  })

  test('is asked to come alone, but not for the sake of passers-by', () => {
    expect(look([face(200), face(150, 300)], 5)).toBe('several')
    expect(look([face(200), face(90, 300)], 5)).toBe('still')
  })

  test('is nobody where the detector is in doubt', () => {
    expect(look([face(200, 0, 0.4)], 5)).toBe('nobody')
  })
})

describe('whoever was answered', () => {
  beforeEach(() => {
    look([face(200)], 5)
    watcher.answered('done', at)
  })

  test('is left in peace while they stand there', () => {
    expect(look([face(200)], 20)).toBe('moving')
    expect(watcher.isResting(at)).toBe(true)
  })

  test('is taken again after a while, or when they were gone', () => {
    look([face(200)], 60)
    expect(look([face(200)], 5)).toBe('still')
    watcher.answered('done', at)
    look([], 6)
    expect(look([face(200)], 5)).toBe('still')
  })

  test('makes room for the next one at once', () => {
    expect(look([face(200, 350)], 5)).toBe('still')
  })
})
