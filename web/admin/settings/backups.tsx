import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import type { backupSchema, backupsAnswer } from '../../../src/monitoring/schema.ts'
import type { Answer } from '../../shared/api.ts'
import { Badge } from '../../shared/badge.tsx'
import { Button } from '../../shared/button.tsx'
import { dateTime, number } from '../../shared/i18n.ts'
import { Refusal } from '../../shared/refusal.tsx'
import { Table } from '../../shared/table.tsx'
import { useToast } from '../../shared/toast.tsx'
import { Card } from '../page.tsx'
import { api, request, useMe } from '../session.ts'

type Backup = Answer<typeof backupSchema>
type Answered = Answer<typeof backupsAnswer>

const STALE_MS = 36 * 60 * 60_000
const SHOWN = 20

/** The backups on the server's disk; whoever may can make one and take it away. */
export function Backups() {
  const { t } = useTranslation()
  const { may } = useMe()
  const tell = useToast()
  const queries = useQueryClient()
  const backups = useQuery({ queryKey: ['backups'], queryFn: () => api<Answered>('/system/backups') })
  const make = useMutation({
    mutationFn: () => api<Backup>('/system/backups', { method: 'POST' }),
    onSuccess: () => {
      queries.invalidateQueries({ queryKey: ['backups'] })
      tell(t('settings.backupMade'))
    },
  })
  const mayMake = may('backups:make')
  const all = backups.data?.backups
  return (
    <Card
      title={t('settings.backups')}
      aside={
        mayMake && (
          <Button look="primary" busy={make.isPending} onClick={() => make.mutate()}>
            {t(make.isPending ? 'settings.backupRuns' : 'settings.backUp')}
          </Button>
        )
      }
    >
      <div className="space-y-3 p-4">
        {backups.data && <LastBackup answered={backups.data} />}
        <p className="text-muted text-sm">{t('settings.backupsMean')}</p>
        <Refusal error={make.error} />
      </div>
      <Table
        caption={t('settings.backups')}
        rows={{ ...backups, data: all?.slice(0, SHOWN) }}
        rowKey={({ name }) => name}
        empty={t('settings.noBackups')}
        columns={[
          { id: 'at', header: t('settings.madeAt'), cell: ({ made_at }) => dateTime(made_at) },
          {
            id: 'name',
            header: t('settings.file'),
            cell: ({ name, has_keys }) => (
              <>
                <code className="break-all text-sm">{name}</code>
                {!has_keys && <Badge tone="warn">{t('settings.noKeys')}</Badge>}
              </>
            ),
          },
          {
            id: 'size',
            header: t('settings.size'),
            alignRight: true,
            cell: ({ bytes }) => `${number(bytes / 1_000_000, 1)} MB`,
          },
          {
            id: 'acts',
            header: '',
            alignRight: true,
            cell: (backup) => mayMake && <Downloads backup={backup} />,
          },
        ]}
      />
      <HowTo mayMake={mayMake} folder={backups.data?.folder} />
    </Card>
  )
}

function LastBackup({ answered: { backups, nightly_hour } }: { answered: Answered }) {
  const { t } = useTranslation()
  const [newest] = backups
  const isStale = !newest || Date.now() - new Date(newest.made_at).getTime() > STALE_MS
  return (
    <p className={`rounded-lg p-3 text-sm ${isStale ? 'bg-warn-soft text-warn' : 'bg-good-soft text-good'}`}>
      {newest ? t('settings.lastBackup', { time: dateTime(newest.made_at) }) : t('settings.neverBackedUp')}{' '}
      {nightly_hour === null
        ? t('settings.noNightly')
        : t('settings.nightly', { hour: String(nightly_hour).padStart(2, '0') })}
    </p>
  )
}

/** Two files, which are to be kept in two places. */
function Downloads({ backup: { name, has_keys } }: { backup: Backup }) {
  const { t } = useTranslation()
  const tell = useToast()
  const [busy, setBusy] = useState<string>()
  const download = async (file: string) => {
    setBusy(file)
    try {
      const answer = await request(`/system/backups/${encodeURIComponent(file)}`)
      save(await answer.blob(), file)
    } catch {
      tell(t('settings.notDownloaded'), 'bad')
    } finally {
      setBusy(undefined)
    }
  }
  return (
    <div className="flex flex-wrap justify-end gap-2">
      <Button busy={busy === name} onClick={() => download(name)}>
        {t('settings.download')}
      </Button>
      {has_keys && (
        <Button look="quiet" busy={busy === `${name}.keys`} onClick={() => download(`${name}.keys`)}>
          {t('settings.downloadKeys')}
        </Button>
      )}
    </div>
  )
}

/** A link cannot say who asks, so that the page fetches the file and hands it to the browser. */
function save(blob: Blob, name: string): void {
  const url = URL.createObjectURL(blob)
  const link = document.createElement('a')
  link.href = url
  link.download = name
  link.click()
  setTimeout(() => URL.revokeObjectURL(url), 60_000)
}

function HowTo({ mayMake, folder }: { mayMake: boolean; folder: string | undefined }) {
  const { t } = useTranslation()
  return (
    <div className="space-y-3 border-line border-t p-4 text-sm">
      {folder && (
        <p>
          {t('settings.folder')} <code className="break-all">{folder}</code>
        </p>
      )}
      {!mayMake && <Command what={t('settings.backupBy')}>rollcall backup</Command>}
      <p>{t('settings.masterKey')}</p>
      <Command what={t('settings.restoreBy')}>
        rollcall restore rollcall-….zip --keys rollcall-….zip.keys --replace
      </Command>
    </div>
  )
}

function Command({ what, children }: { what: string; children: string }) {
  return (
    <div>
      <p>{what}</p>
      <pre className="mt-1 overflow-x-auto whitespace-pre-wrap rounded-lg bg-sunken p-3">
        <code>{children}</code>
      </pre>
    </div>
  )
}
