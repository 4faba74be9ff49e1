// A process of its own on a folder of keys: `named DIR MASTER_KEY NAME` prints the key's digest;
// `rotate KEY_DIR MASTER_KEY_FILE N` changes the master key and is killed before its Nth change of a name.
import { createHash } from 'node:crypto'
import fs from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'

const [task, ...rest] = process.argv.slice(2)

if (task === 'named') {
  const { openVault } = await import('../../src/vault/vault.ts')
  const [dir, masterKey, name] = rest as [string, string, string]
  const vault = await openVault({ dir, masterKey: Buffer.from(masterKey, 'hex') })
  console.log('ready')
  process.stdin.once('data', async () => {
    const key = await vault.named(name)
    console.log(createHash('sha256').update(key).digest('hex'))
    process.exit()
  })
}

if (task === 'rotate') {
  const [KEY_DIR, MASTER_KEY_FILE, nth] = rest as [string, string, string]
  let left = Number(nth)
  for (const change of ['rename', 'link', 'rm'] as const) {
    const real = fs[change] as (...given: unknown[]) => Promise<void>
    Object.assign(fs, {
      [change]: async (...given: unknown[]) => {
        if (--left === 0) process.kill(process.pid, 'SIGKILL')
        return real(...given)
      },
    })
  }
  syncBuiltinESMExports()
  const { rotateKeys } = await import('../../src/vault/rotate.ts')
  console.log(await rotateKeys({ KEY_DIR, MASTER_KEY_FILE }, undefined))
}
