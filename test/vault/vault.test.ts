import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { loadMasterKey } from '../../src/vault/master-key.ts'
import { rotateKeys } from '../../src/vault/rotate.ts'
import { open, SealBroken, seal } from '../../src/vault/seal.ts'
import { finishRotation, KeyLost, openVault, rotateMasterKey } from '../../src/vault/vault.ts'

const program = fileURLToPath(new URL('./vault-process.ts', import.meta.url))
const masterKey = randomBytes(32)
let folder: string
let dir: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rollcall-vault-'))
  dir = join(folder, 'keys', 'one')
})
afterEach(() => rm(folder, { recursive: true, force: true }))

describe('what is sealed', () => {
  const key = randomBytes(32)
  const secret = Buffer.from('a face')

  test('opens with its key and its context, and shows nothing of itself', () => {
    const sealed = seal(key, secret, 'photo a.jpg')
    expect(open(key, sealed, 'photo a.jpg')).toEqual(secret)
    expect(sealed.includes(secret)).toBe(false)
    expect(seal(key, secret, 'photo a.jpg')).not.toEqual(sealed)
    expect(open(key, seal(key, Buffer.alloc(0), 'nothing'), 'nothing')).toHaveLength(0)
  })

  test('opens neither in another place nor with another key', () => {
    const sealed = seal(key, secret, 'photo a.jpg')
    expect(() => open(key, sealed, 'photo b.jpg')).toThrow(SealBroken)
    expect(() => open(randomBytes(32), sealed, 'photo a.jpg')).toThrow(SealBroken)
  })

  test('does not open when any byte of it was altered, or when it was cut', () => {
    const sealed = seal(key, secret, 'photo a.jpg')
    for (let at = 0; at < sealed.length; at++) {
      const altered = Buffer.from(sealed)
      altered[at] = altered[at]! ^ 1
      expect(() => open(key, altered, 'photo a.jpg')).toThrow(SealBroken)
      expect(() => open(key, sealed.subarray(0, at), 'photo a.jpg')).toThrow(SealBroken)
    }
  })
})

describe('the folder of keys', () => {
  test('keeps keys from one start to the next, each in a file of its own that only the owner reads', async () => {
    const vault = await openVault({ dir, masterKey })
    const id = await vault.newKey()
    const [key, named] = [await vault.key(id), await vault.named('ledger')]
    expect(key).toHaveLength(32)

    const again = await openVault({ dir, masterKey })
    expect(await again.key(id)).toEqual(key)
    expect(await again.named('ledger')).toEqual(named)
    expect((await again.keys()).sort()).toEqual([id, 'ledger'].sort())
    for (const name of [`${id}.key`, 'ledger.key', 'master-key-id'])
      expect((await stat(join(dir, name))).mode & 0o777).toBe(0o600)
    expect((await readFile(join(dir, `${id}.key`))).includes(key!)).toBe(false)
    expect((await readdir(dir)).filter((name) => name.endsWith('.part'))).toEqual([])
  })

  test('does not open under another master key, and is left as it is', async () => {
    const vault = await openVault({ dir, masterKey })
    const id = await vault.newKey()
    const before = await readFile(join(dir, `${id}.key`))
    await expect(openVault({ dir, masterKey: randomBytes(32) })).rejects.toThrow(/not the master key/)
    // Also where the note of the master key was not restored with the keys.
    await rm(join(dir, 'master-key-id'))
    await expect(openVault({ dir, masterKey: randomBytes(32) })).rejects.toThrow(/not the master key/)
    expect(await readFile(join(dir, `${id}.key`))).toEqual(before)
    expect(await (await openVault({ dir, masterKey })).key(id)).toHaveLength(32)
  })

  test('says that a key is lost whose file was altered, cut, put in place of another, or is gone', async () => {
    const vault = await openVault({ dir, masterKey })
    const spoil: ((path: string) => Promise<void>)[] = [
      async (path) => {
        const file = await readFile(path)
        file[file.length - 20] = file[file.length - 20]! ^ 1
        await writeFile(path, file)
      },
      (path) => truncate(path, 40),
      (path) => truncate(path, 0),
      async (path) => copyFile(join(dir, `${await vault.newKey()}.key`), path),
      (path) => rm(path),
    ]
    for (const spoilFile of spoil) {
      const id = await vault.newKey()
      await spoilFile(join(dir, `${id}.key`))
      await expect(vault.key(id)).rejects.toThrow(KeyLost)
    }
    await expect(vault.key('../../etc/passwd')).rejects.toThrow(KeyLost)
  })

  test('a dropped key stays dropped, also when its file comes back', async () => {
    const vault = await openVault({ dir, masterKey })
    const id = await vault.newKey()
    const [path, copy] = [join(dir, `${id}.key`), join(folder, 'copy')]
    await copyFile(path, copy)
    // What a crash may have left of its making goes as well.
    await copyFile(path, `${path}.half.part`)
    const tombstone = { reason: 'erase', person: 'ab', at: '2025-03-03T01:00:00.000Z', by: 'user:1' }
    await vault.destroy(id, tombstone)
    await vault.destroy(id, { reason: 'purge' })
    expect(await vault.key(id)).toBeUndefined()
    expect((await readdir(dir)).filter((name) => name.startsWith(id))).toEqual([])
    expect(await vault.erased()).toEqual([id])
    expect(await vault.tombstone(id)).toEqual(tombstone)

    await copyFile(copy, path)
    expect(await vault.key(id)).toBeUndefined()
    const again = await openVault({ dir, masterKey })
    expect(await again.key(id)).toBeUndefined()
    expect(await again.keys()).toEqual([])
  })

  test('gives processes that ask at once for the same named key the same one', async () => {
    await openVault({ dir, masterKey })
    const asking = Array.from({ length: 4 }, () => run(['named', dir, masterKey.toString('hex'), 'ledger']))
    for (const process of asking) await process.line(0)
    for (const { child } of asking) child.stdin!.write('go\n')
    const digests = await Promise.all(asking.map((process) => process.line(1)))
    expect(new Set(digests).size).toBe(1)
    expect((await readdir(dir)).sort()).toEqual(['erased', 'ledger.key', 'master-key-id'])
  })
})

describe('the master key', () => {
  const settings = () => ({ KEY_DIR: join(folder, 'keys'), MASTER_KEY_FILE: join(folder, 'master-key') })

  test('is made at the first start only, in a file that only the owner reads', async () => {
    await expect(loadMasterKey(settings(), false)).rejects.toThrow(/master key is missing/)
    const made = await loadMasterKey(settings(), true)
    expect(await loadMasterKey(settings(), false)).toEqual(made)
    expect(await loadMasterKey(settings(), true)).toEqual(made)
    expect((await stat(settings().MASTER_KEY_FILE)).mode & 0o777).toBe(0o600)
    await writeFile(settings().MASTER_KEY_FILE, 'not a key')
    await expect(loadMasterKey(settings(), true)).rejects.toThrow(/64 hexadecimal digits/)
    const given = await loadMasterKey({ ...settings(), MASTER_KEY: masterKey.toString('hex') }, false)
    expect(given).toEqual(masterKey)
  })

  test('is changed for all keys, in the file and beside it', async () => {
    const { first, kept } = await filled()
    const second = join(folder, 'keys', 'two')
    const other = await (await openVault({ dir: second, masterKey: first })).named('ledger')
    expect(await rotateKeys(settings(), undefined)).toBe(kept.size + 1)
    const fresh = await loadMasterKey(settings(), false)
    expect(fresh).not.toEqual(first)
    await expect(openVault({ dir, masterKey: first })).rejects.toThrow(/not the master key/)
    await expectKept(kept)
    expect(await (await openVault({ dir: second, masterKey: fresh })).named('ledger')).toEqual(other)
    expect((await readdir(folder)).sort()).toEqual(['keys', 'master-key'])
  })

  test('from the environment is changed to what a file holds', async () => {
    const { first, kept } = await filled()
    const given = { ...settings(), MASTER_KEY: first.toString('hex') }
    await expect(rotateKeys(given, undefined)).rejects.toThrow(/--new-key-file/)
    await expect(rotateKeys(given, join(folder, 'nowhere'))).rejects.toThrow(/not there/)
    const file = join(folder, 'new-key')
    await writeFile(file, `${randomBytes(32).toString('hex')}\n`)
    for (let time = 0; time < 2; time++) expect(await rotateKeys(given, file)).toBe(kept.size)
    const vault = await openVault({
      dir,
      masterKey: Buffer.from((await readFile(file, 'utf8')).trim(), 'hex'),
    })
    for (const [id, key] of kept) expect(await vault.key(id)).toEqual(key)
  })

  test('may be changed by a process that is killed at any point and started again', async () => {
    const { kept } = await filled()
    let killed = 0
    for (let step = 1; ; step++) {
      const process = run(['rotate', settings().KEY_DIR, settings().MASTER_KEY_FILE, String(step)])
      const [code] = await once(process.child, 'close')
      if (code === 0) break
      killed++
      // Whatever was reached: no server starts with half of it, and the next try goes on.
      await rotateKeys(settings(), undefined)
      await expectKept(kept)
      expect((await readdir(folder)).sort()).toEqual(['keys', 'master-key'])
    }
    expect(killed).toBeGreaterThan(kept.size)
    await expectKept(kept)
  }, 120_000)

  test('opens nothing for a server while it is being changed', async () => {
    const { first, kept } = await filled()
    const running = await openVault({ dir, masterKey: first })
    const to = randomBytes(32)
    await rotateMasterKey({ dir, from: first, to })
    await expect(openVault({ dir, masterKey: first })).rejects.toThrow(/keys rotate/)
    await expect(openVault({ dir, masterKey: to })).rejects.toThrow(/keys rotate/)
    // One that ran on makes no key that nobody can unwrap later.
    await expect(running.newKey()).rejects.toThrow(/keys rotate/)
    await finishRotation(dir, to)
    await expect(running.newKey()).rejects.toThrow(/not the master key/)
    expect(await (await openVault({ dir, masterKey: to })).keys()).toHaveLength(kept.size)
  })

  test('is not changed when one key opens under neither, and then nothing else is', async () => {
    const { first, kept } = await filled()
    const [id] = kept.keys()
    const file = await readFile(join(dir, `${id}.key`))
    await truncate(join(dir, `${id}.key`), 30)
    await expect(rotateKeys(settings(), undefined)).rejects.toThrow(`${id}.key`)
    await writeFile(join(dir, `${id}.key`), file)
    const vault = await openVault({ dir, masterKey: first })
    for (const [other, key] of kept) expect(await vault.key(other)).toEqual(key)
  })

  /** A folder with a master key in its file and some keys. */
  async function filled() {
    const first = await loadMasterKey(settings(), true)
    await mkdir(settings().KEY_DIR, { recursive: true })
    const vault = await openVault({ dir, masterKey: first })
    const kept = new Map<string, Buffer>()
    for (let count = 0; count < 3; count++) {
      const id = await vault.newKey()
      kept.set(id, (await vault.key(id))!)
    }
    return { first, kept }
  }

  async function expectKept(kept: Map<string, Buffer>) {
    const vault = await openVault({ dir, masterKey: await loadMasterKey(settings(), false) })
    for (const [id, key] of kept) expect(await vault.key(id)).toEqual(key)
    expect((await vault.keys()).sort()).toEqual([...kept.keys()].sort())
  }
})

function run(task: string[]) {
  const child = spawn(process.execPath, ['--import', 'tsx', program, ...task], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const lines: string[] = []
  const reader = createInterface({ input: child.stdout! })
  reader.on('line', (line) => lines.push(line))
  const line = async (index: number) => {
    while (lines.length <= index) await once(reader, 'line')
    return lines[index]!
  }
  return { child, line }
}
