import { describe, expect, test } from 'vitest'
import type { TimedLook } from '../../src/face/pad/burst.ts'
import { type Action, actions, drawChallenge, judgeChallenge } from '../../src/face/pad/challenge.ts'
import { type Moment, sequence } from './pad-looks.ts'

const poses: Record<Action, Moment> = {
  turn_left: { yaw: 25 },
  turn_right: { yaw: -25 },
  look_up: { pitch: -18 },
  look_down: { pitch: 18 },
  blink: { open: 0.2 },
}

/** Three pictures a step: on the way, there, and on the way back; no two of them quite alike. */
const done = (steps: readonly Action[]): Moment[] =>
  steps.flatMap((step, place) => [{ yaw: 1 + place / 4 }, poses[step], { pitch: 1 + place / 4 }])

const asked: Action[] = ['look_up', 'blink', 'turn_right']
const stateOf = (frames: readonly TimedLook[], steps = asked) => judgeChallenge(steps, frames).state

describe('a drawn challenge', () => {
  test('has three different steps, and there are 60 of them', () => {
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

  test('asks its random source for numbers below 5, 4 and 3, so that each is as likely', () => {
    const limits: number[] = []
    drawChallenge((n) => limits.push(n) * 0)
    expect(limits).toEqual([5, 4, 3])
  })
})

describe('a challenge is passed', () => {
  test('by a head that does its steps, whichever they are', () => {
    for (const one of actions)
      for (const other of actions)
        for (const third of actions) {
          const steps = [one, other, third]
          if (new Set(steps).size < 3) continue
          const verdict = judgeChallenge(steps, sequence(done(steps)))
          expect(verdict, steps.join()).toMatchObject({ state: 'bona_fide' })
        }
  })

  test('with two pictures a step', () => {
    expect(stateOf(sequence(done(asked).filter((_, index) => index % 3 < 2)))).toBe('bona_fide')
  })

  test('by a head that is held askew: its own neutral pose counts', () => {
    const askew = done(asked).map(({ yaw = 0, pitch = 0, ...rest }) => ({
      ...rest,
      yaw: yaw + 12,
      pitch: pitch - 9,
    }))
    expect(stateOf(sequence(askew))).toBe('bona_fide')
  })

  test('with a blink that nobody asked for', () => {
    const steps: Action[] = ['look_up', 'look_down', 'turn_right']
    const moments = done(steps).map((moment, index) => (index === 3 ? { ...moment, open: 0.2 } : moment))
    expect(stateOf(sequence(moments), steps)).toBe('bona_fide')
  })
})

describe('a challenge is not passed', () => {
  test('by a face that is held still', () => {
    const still = Array.from({ length: 9 }, (_, index) => ({ yaw: Math.sin(index), x: 320 + index }))
    expect(stateOf(sequence(still))).toBe('undecided')
  })

  test('by its steps in any other order', () => {
    for (const order of [
      [0, 2, 1],
      [1, 0, 2],
      [1, 2, 0],
      [2, 0, 1],
      [2, 1, 0],
    ])
      expect(stateOf(sequence(done(order.map((place) => asked[place])))), order.join()).toBe('undecided')
  })

  test('by what was done for another challenge', () => {
    expect(stateOf(sequence(done(['turn_left', 'blink', 'look_up'])))).toBe('undecided')
  })

  test('with left for right, or up for down', () => {
    expect(stateOf(sequence(done(['look_up', 'blink', 'turn_left'])))).toBe('undecided')
    expect(stateOf(sequence(done(['look_down', 'blink', 'turn_right'])))).toBe('undecided')
  })

  test('with a step missing, or a movement too many', () => {
    expect(stateOf(sequence(done(['look_up', 'turn_right'])))).toBe('undecided')
    expect(stateOf(sequence(done(['look_up', 'blink', 'turn_right', 'turn_left'])))).toBe('undecided')
    expect(stateOf(sequence(done(['look_up', 'turn_right'])), asked)).toBe('undecided')
  })

  test('with fewer than two pictures a step: three photos are easily had', () => {
    expect(stateOf(sequence(asked.map((step) => poses[step])))).toBe('undecided')
    expect(stateOf(sequence([poses.look_up, poses.turn_right]))).toBe('undecided')
    expect(stateOf([])).toBe('undecided')
  })

  const tilted = (times: number) => {
    const tilts = done(asked).map(({ yaw = 0, pitch = 0, open }) => ({
      yaw: times * yaw,
      pitch: times * pitch,
      open,
    }))
    return judgeChallenge(asked, sequence(tilts, { flat: true }))
  }

  test('by a print that is tilted the same way', () => {
    expect(tilted(1).state).not.toBe('bona_fide')
  })

  test('by a print that is tilted further: that is an attack', () => {
    expect(tilted(1.6)).toMatchObject({ state: 'attack', reason: 'the face turned as something flat does' })
  })

  test('later than 10 seconds after it began', () => {
    expect(stateOf(sequence(done(asked), { everyMs: 1250 }))).toBe('bona_fide')
    expect(stateOf(sequence(done(asked), { everyMs: 1251 }))).toBe('undecided')
  })

  test('faster than a head turns: that is an attack', () => {
    const verdict = judgeChallenge(asked, sequence(done(asked), { everyMs: 40 }))
    expect(verdict).toMatchObject({ state: 'attack', reason: 'the head turned faster than heads do' })
  })

  test('with times that do not rise', () => {
    const frames = sequence(done(asked))
    frames[4] = { ...frames[4], atMs: frames[3].atMs }
    expect(stateOf(frames)).toBe('undecided')
    expect(stateOf([...sequence(done(asked))].reverse())).toBe('undecided')
  })

  test('with the same picture twice: that is an attack', () => {
    const frames = sequence(done(asked))
    frames[8] = { ...frames[8], sha256: frames[0].sha256 }
    expect(stateOf(frames)).toBe('attack')
  })

  test('by a face that is suddenly elsewhere', () => {
    const moments = done(asked).map((moment, index) => (index < 5 ? moment : { ...moment, x: 520 }))
    expect(judgeChallenge(asked, sequence(moments))).toMatchObject({
      state: 'undecided',
      reason: 'the face was not in one place throughout',
    })
  })
})
