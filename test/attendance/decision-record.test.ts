import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { type DecisionRecord, decisionRecordSchema } from '../../src/attendance/decision-record.ts'
import { digestOf } from '../../src/face/packs/digest.ts'

describe('a decision record', () => {
  test('is read whatever an older version left out of it', () => {
    const older: DecisionRecord[] = [{}, { rule: 'r', candidates: [{}], liveness: { state: 'unavailable' } }]
    for (const record of older) expect(decisionRecordSchema.parse(record)).toEqual(record)
  })

  test('is not taken for what it is not', () => {
    expect(decisionRecordSchema.safeParse({ people: 'many' }).success).toBe(false)
  })
})

describe('the digest of a pack', () => {
  const file = (text: string) => ({ sha256: createHash('sha256').update(text).digest('hex') })

  test('is that of its files, whatever they are called and in whatever order they stand', () => {
    const digest = digestOf({ one: file('1'), two: file('2') })
    expect(digestOf({ b: file('2'), a: file('1') })).toBe(digest)
    expect(digestOf({ one: file('1'), two: file('3') })).not.toBe(digest)
  })

  test('is the SHA-256 of the sorted lines, as sha256sum prints it', () => {
    // printf '%s\n' "$(printf 1 | sha256sum | cut -c-64)" "$(printf 2 | sha256sum | cut -c-64)" | sort | sha256sum
    expect(digestOf({ one: file('1'), two: file('2') })).toBe(
      'e7288ff80eff6cea59e0d4bcc00cca3290a943fe472721502a797b374446f592',
    )
  })
})
