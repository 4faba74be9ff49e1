import { describe, expect, test } from 'vitest'
import { hashPassword, newPassword, verifyPassword } from '../../src/access/passwords.ts'

describe('a password', () => {
  test('is kept as Argon2id with 19 MiB and two passes, salted', async () => {
    const [one, other] = await Promise.all([hashPassword('tám chữ cái'), hashPassword('tám chữ cái')])
    expect(one).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/)
    expect(one).not.toBe(other)
    expect(await verifyPassword(one, 'tám chữ cái')).toBe(true)
    expect(await verifyPassword(one, 'tam chu cai')).toBe(false)
  })

  test('is the same in composed and decomposed letters', async () => {
    expect(await verifyPassword(await hashPassword('mật khẩu dài'.normalize('NFD')), 'mật khẩu dài')).toBe(
      true,
    )
  })

  test('of nobody is wrong whatever it is', async () => {
    expect(await verifyPassword(undefined, 'the password of nobody')).toBe(false)
    expect(await verifyPassword(null, '')).toBe(false)
  })

  test.each(['short', 'x'.repeat(201), 'aaaaaaaaaaaa', 'Password123', '1234567890'])(
    'like %s may not be chosen',
    (password) => {
      expect(newPassword.safeParse(password).success).toBe(false)
    },
  )

  test('of ten characters and more may be chosen, spaces and accents included', () => {
    for (const password of ['correct horse', 'bí mật của tôi', ' edge spaces '])
      expect(newPassword.parse(password)).toBe(password)
  })
})
