import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { z } from 'zod'
import { authorOf } from '../access/caller.ts'
import { type Author, type Ledger, note } from '../ledger/ledger.ts'
import { backupFolder, type Config } from '../shared/config.ts'
import { AppError } from '../shared/errors.ts'
import { namesIn } from '../shared/files.ts'
import { type App, problems } from '../shared/http.ts'
import { type Backup, backupPath, backupSchema, backupsAnswer } from './schema.ts'

interface BackupDeps {
  config: Pick<Config, 'BACKUP_DIR' | 'BACKUP_HOUR' | 'BACKUP_KEEP' | 'DATA_DIR'>
  ledger: Ledger
  /** Makes a backup in the folder of backups and resolves to its file. Undefined where the server makes none. */
  backUp?: (author: Author) => Promise<string>
}

const tags = ['Backups']

/**
 * The backups on this server's disk. What is in one is everything, so that making and taking one away is the owners'
 * alone; its keys are a file of their own, wrapped under the master key, which is in neither.
 */
export function backupRoutes(app: App, { config, ledger, backUp }: BackupDeps): void {
  const folder = resolve(backupFolder(config))
  let making: Promise<string> | undefined

  app.get(
    '/system/backups',
    {
      config: { access: 'system:read' },
      schema: {
        tags,
        summary: "The backups in this server's BACKUP_DIR, the newest first",
        response: { 200: backupsAnswer, ...problems },
      },
    },
    async () => ({
      folder,
      nightly_hour: backUp && config.BACKUP_KEEP > 0 ? config.BACKUP_HOUR : null,
      making: making !== undefined,
      backups: await listBackups(folder),
    }),
  )

  app.post(
    '/system/backups',
    {
      config: { access: 'backups:make' },
      schema: {
        tags,
        summary: 'Make a backup, as "rollcall backup" does; answers when it is on disk',
        description:
          'One at a time: whoever asks meanwhile is answered the same one. With the embedded database check-ins wait ' +
          'while the tables are read.',
        response: { 201: backupSchema, ...problems },
      },
    },
    async (request, reply) => {
      if (!backUp)
        throw new AppError('backups_off', 'This server makes no backups. Use "rollcall backup" instead.')
      // It may take longer than a silent connection is left open: who listens keeps it from being cut off.
      reply.raw.on('timeout', () => {})
      making ??= backUp(authorOf(request)).finally(() => {
        making = undefined
      })
      const file = await making.catch((cause: Error) => {
        throw new AppError('storage_unavailable', cause.message, {}, cause)
      })
      const made = (await listBackups(folder)).find(({ name }) => join(folder, name) === file)
      return reply.code(201).send(made ?? backupGone())
    },
  )

  app.get(
    '/system/backups/:name',
    {
      config: { access: 'backups:make' },
      schema: {
        tags,
        summary: 'Download a backup, or its keys by its name with .keys',
        description: 'Keep the two apart. The master key, which both need, is in neither.',
        params: backupPath,
        response: { 200: z.any().describe('application/zip'), ...problems },
      },
    },
    async (request, reply) => {
      const { name } = request.params
      const backup = (await listBackups(folder)).find((each) => each.name === name.replace(/\.keys$/, ''))
      if (!backup || (name !== backup.name && !backup.has_keys)) return backupGone()
      const size = await sizeOf(join(folder, name))
      await ledger.by(authorOf(request))((trx) =>
        note(trx, { action: 'export', subject_kind: 'backup', details: { file: name } }),
      )
      return reply
        .type('application/zip')
        .header('cache-control', 'private, no-store')
        .header('content-disposition', `attachment; filename="${name}"`)
        .header('content-length', size)
        .send(request.method === 'HEAD' ? '' : createReadStream(join(folder, name)))
    },
  )
}

function backupGone(): never {
  throw new AppError('backup_not_found', 'There is no such backup in BACKUP_DIR.')
}

/** Only these names are ours, and none of them needs quotes in a header. */
const isBackup = /^[\w.-]+\.zip$/

async function listBackups(folder: string): Promise<Backup[]> {
  const names = await namesIn(folder)
  const found = names
    .filter((name) => isBackup.test(name))
    // One that is gone by now was an old one.
    .map((name) =>
      stat(join(folder, name))
        .then((file) => ({ name, file }))
        .catch(() => undefined),
    )
  return (await Promise.all(found))
    .filter((each) => each !== undefined)
    .map(({ name, file }) => ({
      name,
      made_at: file.mtime,
      bytes: file.size,
      has_keys: names.includes(`${name}.keys`),
    }))
    .sort((a, b) => b.made_at.getTime() - a.made_at.getTime())
}

async function sizeOf(path: string): Promise<number> {
  return (await stat(path).catch(backupGone)).size
}
