import { describe, expect, test } from 'vitest'
import { type Action, actions, drawChallenge, judgeChallenge } from '../../src/face/pad/challenge.ts'
import { type Moment, sequence } from './pad-looks.ts'

const poses: Record<Action, Moment> = {
  turn_left: { yaw: 25 },
  turn_right: { yaw: -25 },
  look_up: { pitch: -18 },
  look_down: { pitch: 18 },
  blink: { open: 0.2 },
}

/** Three pictures a step: on the way, there, and on the way back. */
const done = (steps: readonly Action[]): Moment[] =>
  steps.flatMap((step) => [{ yaw: 1 }, poses[step], { pitch: 1 }])

const asked: Action[] = ['look_up', 'blink', 'turn_right']

describe('a drawn challenge', () => {
  test('has three different steps, each order as likely as any other', () => {
    const drawn = new Set<string>()
    for (const a of [0, 1, 2, 3, 4])
      for (const b of [0, 1, 2, 3])
        for (const c of [0, 1, 2]) {
          const dice = [a, b, c]
          const steps = drawChallenge(() => dice.shift()!)
          expect(new Set(steps).size).toBe(3)
          drawn.add(steps.join())
        }
    expect(drawn.size).toBe(60)
  })

  test('asks its random source for numbers below 5, 4 and 3', () => {
    const asked: number[] = []
    drawChallenge((n) => asked.push(n) * 0)
    expect(asked).toEqual([5, 4, 3])
  })
})

describe('a challenge', () => {
  test('is passed by a head that does its steps, whichever they are', () => {
    for (const one of actions)
      for (const other of actions)
        for (const third of actions) {
          const steps = [one, other, third]
          if (new Set(steps).size < 3) continue
          expect(judgeChallenge(steps, sequence(done(steps))), steps.join()).toMatchObject({
            state: 'bona_fide',
          })
        }
  })

  test('is passed with one picture a step', () => {
    expect(judgeChallenge(asked, sequence(asked.map((step) => poses[step]))).state).toBe('bona_fide')
  })
})
