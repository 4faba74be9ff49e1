import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { deriveKey, loadSecret } from '../../src/access/secret.ts'
import { seal, unseal } from '../../src/access/tokens.ts'
import { checkTotp } from '../../src/access/totp.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rollcall-secret-'))
})
afterAll(() => rm(folder, { recursive: true }))

describe('the secret', () => {
  test('is made once, random, readable by its owner alone', async () => {
    const secrets = await Promise.all(Array.from({ length: 5 }, () => loadSecret(undefined, folder)))
    expect(new Set(secrets.map(String)).size).toBe(1)
    expect(String(secrets[0])).toMatch(/^[0-9a-f]{64}$/)
    expect((await stat(join(folder, 'secret-key'))).mode & 0o777).toBe(0o600)
    expect(await loadSecret(undefined, folder)).toEqual(secrets[0])
  })

  test.each([
    'your-secret-key',
    'short',
    'a'.repeat(64),
    'changeme-changeme-changeme-changeme',
    'abcdabcdabcdabcdabcdabcdabcdabcdabcd',
  ])('from a manual is refused: %s', async (weak) => {
    await expect(loadSecret(weak, folder)).rejects.toThrow('SECRET_KEY is too weak')
  })

  test('of the environment goes before the file', async () => {
    const given = 'f3a9c0d17b5e4826a1b2c3d4e5f60718'
    expect(String(await loadSecret(given, folder))).toBe(given)
  })

  test('that was cut short is not used', async () => {
    const path = join(folder, 'secret-key')
    const whole = await readFile(path)
    await writeFile(path, whole.subarray(0, 10))
    await expect(loadSecret(undefined, folder)).rejects.toThrow('is damaged')
    await writeFile(path, whole)
  })

  test('gives each purpose a key of its own', () => {
    const secret = Buffer.from('a secret')
    expect(deriveKey(secret, 'one')).not.toEqual(deriveKey(secret, 'two'))
    expect(deriveKey(secret, 'one')).toHaveLength(32)
  })
})

describe('sealing', () => {
  const key = deriveKey(Buffer.from('a secret'), 'test')

  test('comes back whole, looks different each time, and shows every change', () => {
    const plain = Buffer.from('twenty secret bytes.')
    const [one, other] = [seal(key, plain), seal(key, plain)]
    expect(one).not.toEqual(other)
    expect(unseal(key, one)).toEqual(plain)
    for (let i = 0; i < one.length; i++) {
      const changed = Buffer.from(one)
      changed[i] ^= 1
      expect(() => unseal(key, changed)).toThrow()
    }
    expect(() => unseal(deriveKey(Buffer.from('another'), 'test'), one)).toThrow()
  })
})

describe('codes of a second factor', () => {
  // RFC 6238, appendix B: the SHA-1 secret is this text; its 8 digits end in these 6.
  const secret = Buffer.from('12345678901234567890')

  test.each([
    [59, '287082'],
    [1111111109, '081804'],
    [1234567890, '005924'],
    [2000000000, '279037'],
  ])('are those of RFC 6238 at %i s', (seconds, code) => {
    expect(checkTotp(secret, code, new Date(seconds * 1000), undefined)).toBe(Math.floor(seconds / 30))
  })

  test('are good one step early and late, and no longer', () => {
    const at = (seconds: number) => checkTotp(secret, '081804', new Date(seconds * 1000), undefined)
    const step = Math.floor(1111111109 / 30)
    expect([at(1111111109 + 30), at(1111111109 - 30)]).toEqual([step, step])
    expect([at(1111111109 + 90), at(1111111109 - 90)]).toEqual([undefined, undefined])
  })

  test('are good once', () => {
    const step = Math.floor(1111111109 / 30)
    expect(checkTotp(secret, '081804', new Date(1111111109_000), step)).toBeUndefined()
    expect(checkTotp(secret, '081804', new Date(1111111109_000), step - 1)).toBe(step)
  })
})
