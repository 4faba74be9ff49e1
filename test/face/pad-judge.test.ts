import { describe, expect, test } from 'vitest'
import { judgePad } from '../../src/face/pad/judge.ts'

const passive = (state: 'attack' | 'undecided' | 'unavailable') => ({
  state,
  reason: 'so it looks',
  scores: {},
})
const challenge = (state: 'bona_fide' | 'attack' | 'undecided') => ({
  state,
  reason: 'so it went',
  scores: {},
})
const notEnough = { modelIsEnough: false }
const enough = { modelIsEnough: true }
const nothing = { model: null, passive: null, challenge: null }

describe('the judgement', () => {
  test('is unavailable where nothing looked', () => {
    expect(judgePad(nothing, enough).state).toBe('unavailable')
    expect(judgePad({ ...nothing, passive: passive('unavailable') }, enough).state).toBe('unavailable')
  })

  test.each([
    { ...nothing, model: 0.02, challenge: challenge('bona_fide') },
    { ...nothing, model: 0.99, passive: passive('attack'), challenge: challenge('bona_fide') },
    { ...nothing, model: 0.99, challenge: challenge('attack') },
  ])('is an attack where one signal says so, whatever the others say', (signals) => {
    expect(judgePad(signals, enough).state).toBe('attack')
  })

  test('is bona fide by a challenge that was passed, with or without the rest', () => {
    expect(judgePad({ ...nothing, challenge: challenge('bona_fide') }, notEnough).state).toBe('bona_fide')
    const all = { model: 0.5, passive: passive('undecided'), challenge: challenge('bona_fide') }
    expect(judgePad(all, notEnough).state).toBe('bona_fide')
  })

  test('is bona fide by the model only where the site says that it is enough', () => {
    const signals = { ...nothing, model: 0.99, passive: passive('undecided') }
    expect(judgePad(signals, notEnough).state).toBe('undecided')
    expect(judgePad(signals, enough).state).toBe('bona_fide')
    expect(judgePad({ ...nothing, model: 0.5 }, enough).state).toBe('undecided')
  })

  test('is undecided where a challenge was not fulfilled', () => {
    expect(judgePad({ ...nothing, challenge: challenge('undecided') }, notEnough).state).toBe('undecided')
  })

  test('carries what each signal said', () => {
    const { signals } = judgePad({ ...nothing, model: 0.02, passive: passive('undecided') }, notEnough)
    expect(signals.model).toEqual({
      state: 'attack',
      reason: 'the model sees an attack',
      scores: { score: 0.02 },
    })
    expect(signals.passive).toEqual(passive('undecided'))
    expect(signals.challenge.state).toBe('unavailable')
  })
})
