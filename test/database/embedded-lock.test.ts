import { mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { openDatabase } from '../../src/database/connect.ts'
import { lockFolder } from '../../src/database/folder-lock.ts'
import { type DatabaseProcess, databaseProcess } from '../support/processes.ts'

let dataDir: string
let started: DatabaseProcess[] = []

beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'rollcall-lock-'))
})
afterEach(async () => {
  await Promise.all(started.map((process) => process.kill('SIGKILL')))
  started = []
  rmSync(dataDir, { recursive: true, force: true })
})

function start(task: string, place = dataDir): DatabaseProcess {
  const process = databaseProcess(task, place)
  started.push(process)
  return process
}

test('a second process is refused while the first lives, and told who has the folder and what to do', async () => {
  const first = start('hold')
  await first.line((line) => line === 'open')
  const refusal = await start('hold').line()
  expect(refusal).toContain(`refused: The folder ${dataDir} is in use by process ${first.pid} on `)
  expect(refusal).toContain('Stop that process first, choose another DATA_DIR, or set DB_URL')
})

test('another name of the same folder is the same folder', async () => {
  const other = `${dataDir}-other-name`
  symlinkSync(dataDir, other)
  const unlock = await lockFolder(dataDir)
  await expect(lockFolder(other)).rejects.toThrow(`process ${process.pid} `)
  unlock()
  rmSync(other)
})

test('the folder is free again after its process was killed', async () => {
  const first = start('hold')
  await first.line((line) => line === 'open')
  await first.kill('SIGKILL')
  expect(await start('hold').line()).toBe('open')
})

test('the folder is free again after it was closed', async () => {
  for (let round = 0; round < 2; round++) {
    const database = await openDatabase({ dataDir })
    expect(database.kind).toBe('embedded')
    expect(database.version).toMatch(/^18\./)
    await database.close()
  }
})

test('of processes that start at the same moment exactly one gets the folder', async () => {
  const database = await openDatabase({ dataDir })
  await database.close()
  for (let round = 0; round < 5; round++) {
    const processes = Array.from({ length: 3 }, () => start('hold'))
    const answers = await Promise.all(processes.map((process) => process.line()))
    expect(answers.filter((answer) => answer === 'open')).toHaveLength(1)
    expect(answers.filter((answer) => answer.startsWith('refused: The folder'))).toHaveLength(2)
    await Promise.all(processes.map((process) => process.kill('SIGKILL')))
  }
}, 120_000)

test('processes that start at the same moment on an empty folder make one database', async () => {
  const processes = Array.from({ length: 3 }, () => start('hold'))
  const answers = await Promise.all(processes.map((process) => process.line()))
  expect(answers.filter((answer) => answer === 'open')).toHaveLength(1)
}, 120_000)

test('a lock that was given back can be taken again at once', async () => {
  for (let round = 0; round < 50; round++) {
    const unlock = await lockFolder(dataDir)
    unlock()
  }
})
