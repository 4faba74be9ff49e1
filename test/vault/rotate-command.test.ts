import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'

const cli = resolve('dist/cli.js')
let folder: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rollcall-rotate-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

/** Runs the program in an empty folder, so that no .env of this one counts. Resolves to what it printed, and how it ended. */
async function rollcall(args: string[], env: Record<string, string> = {}): Promise<[number, string]> {
  const settings = { PATH: process.env.PATH, DATA_DIR: join(folder, 'data'), ...env }
  try {
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [cli, ...args], {
      cwd: folder,
      env: settings,
    })
    return [0, stdout + stderr]
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string }
    return [code, stdout + stderr]
  }
}

test('the command line changes the master key, and no other one opens the keys after it', async () => {
  const file = join(folder, 'data', 'master-key')
  expect((await rollcall(['migrate', 'up']))[0]).toBe(0)
  expect(await rollcall(['verify'])).toEqual([0, expect.stringContaining('is whole')])
  const first = await readFile(file, 'utf8')

  expect(await rollcall(['keys', 'rotate'])).toEqual([0, expect.stringContaining('1 keys are under the new')])
  const second = await readFile(file, 'utf8')
  expect(second).not.toBe(first)
  expect(await rollcall(['verify'])).toEqual([0, expect.stringContaining('is whole')])
  await writeFile(file, first)
  expect(await rollcall(['verify'])).toEqual([1, expect.stringContaining('not the master key')])
}, 240_000)
