import { expect, test } from 'vitest'
import { type Likeness, ownFaces } from '../../src/gallery/same-person.ts'

/** Faces are points on a line here: those less than 0.6 apart are alike enough. */
const face = (at: number) => Float32Array.of(at)
const likeness: Likeness = (others, [at]) =>
  1 - Math.abs(others.reduce((sum, [other]) => sum + other, 0) / others.length - at)
const own = (stored: number[], ...faces: number[]) => {
  const vectors = faces.map(face)
  const found = ownFaces(likeness, stored.map(face), vectors)
  return vectors.map((vector) => found.has(vector))
}

test.each([
  ['one alone is the person', [], [5], [true]],
  ['two that are alike are', [], [0, 0.5], [true, true]],
  ['of two that differ neither is', [], [0, 5], [false, false]],
  ['of three the odd one is not', [], [0, 5, 0.5], [true, false, true]],
  ['of three that all differ none is', [], [0, 5, 10], [false, false, false]],
  ['of two against two none is', [], [0, 0, 5, 5], [false, false, false, false]],
  ['three are more than two', [], [0, 0, 5, 0.5, 5], [true, true, false, true, false]],
  ['one between two others joins them', [], [0, 0.5, 1], [true, true, true]],
  ['no chain leads from one to another', [], [0, 0.5, 1, 1.5, 2], [true, true, true, false, false]],
  ['what is stored decides, whatever the many say', [0], [5, 5, 5, 0.5], [false, false, false, true]],
  ['the mean of what is stored decides', [0, 1], [0, 1.2], [true, false]],
])('%s', (_what, stored, faces, expected) => {
  expect(own(stored, ...faces)).toEqual(expected)
})
