import { useQueryClient } from '@tanstack/react-query'
import { useEffect, useRef, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { Badge } from '../../shared/badge.tsx'
import { Button } from '../../shared/button.tsx'
import { Dialog } from '../../shared/dialog.tsx'
import { useCodeText } from '../../shared/error-text.ts'
import { FileDrop } from '../../shared/file-drop.tsx'
import { number } from '../../shared/i18n.ts'
import { Table } from '../../shared/table.tsx'
import { request } from '../session.ts'
import { ErrorAlert } from './alert.tsx'
import { ConsentAsked, newestTextVersion } from './consent-asked.tsx'
import { Figures, Working } from './import-parts.tsx'

interface Row {
  entry: string
  employee_id: string | null
  outcome: 'enrolled' | 'already_stored' | 'refused'
  code: string | null
  message: string
}

interface Totals {
  ignored: number
  stopped: { code: string; message: string } | null
}

/** What came of a ZIP so far. `totals` come at the end. */
interface Progress {
  isDry: boolean
  rows: Row[]
  totals?: Totals
}

const SHOWN = 300

/** Photos of many people from a ZIP, each with what came of it while the work goes on. */
export function ImportPhotos({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation()
  const queries = useQueryClient()
  const [file, setFile] = useState<File>()
  const [agreed, setAgreed] = useState(false)
  const [version, setVersion] = useState(newestTextVersion)
  const [progress, setProgress] = useState<Progress>()
  const [error, setError] = useState<unknown>()
  const work = useRef<AbortController>(undefined)
  const [isBusy, setBusy] = useState(false)
  useEffect(() => () => work.current?.abort(), [])

  const start = async (isDry: boolean) => {
    const body = new FormData()
    body.append('dry_run', String(isDry))
    if (agreed) body.append('consent', version)
    body.append('file', file!)
    work.current = new AbortController()
    setBusy(true)
    setError(undefined)
    setProgress({ isDry, rows: [] })
    try {
      for await (const line of linesOf(body, work.current.signal))
        setProgress((before) =>
          'entry' in line
            ? { isDry, rows: [...(before?.rows ?? []), line] }
            : { isDry, rows: before?.rows ?? [], totals: line },
        )
    } catch (fault) {
      if (!work.current.signal.aborted) setError(fault)
    }
    setBusy(false)
    if (!isDry) {
      queries.invalidateQueries({ queryKey: ['employee'] })
      queries.invalidateQueries({ queryKey: ['employees'] })
    }
  }
  return (
    <Dialog title={t('employees.importPhotos')} onClose={onClose} isWide>
      <div className="flex flex-col gap-4">
        <p className="text-muted">{t('employees.photosHow')}</p>
        <FileDrop
          label={file ? t('employees.otherFile', { name: file.name }) : t('employees.chooseZip')}
          hint={t('employees.zipHint')}
          accept=".zip,application/zip"
          onFiles={([chosen]) => {
            setFile(chosen)
            setProgress(undefined)
            setError(undefined)
          }}
        />
        <ConsentAsked
          label={t('employees.photosAgreed')}
          {...{ agreed, version }}
          onAgreed={setAgreed}
          onVersion={setVersion}
        />
        {isBusy && <Working>{t('employees.photosDone', { count: progress?.rows.length ?? 0 })}</Working>}
        <ErrorAlert error={error} />
        {progress && <Result progress={progress} isBusy={isBusy} />}
        <div className="flex flex-wrap justify-end gap-3">
          {isBusy ? (
            <Button look="danger" onClick={() => work.current?.abort()}>
              {t('employees.stop')}
            </Button>
          ) : (
            <>
              <Button onClick={onClose}>{t('common.close')}</Button>
              <Button disabled={!file} onClick={() => start(true)}>
                {t('employees.onlyCheck')}
              </Button>
              <Button look="primary" disabled={!file} onClick={() => start(false)}>
                {t('employees.importPhotosNow')}
              </Button>
            </>
          )}
        </div>
      </div>
    </Dialog>
  )
}

/** The answer comes a line a photo, while the server works. */
async function* linesOf(body: FormData, signal: AbortSignal): AsyncGenerator<Row | Totals> {
  const response = await request('/employees/photos/import', {
    method: 'POST',
    body,
    headers: { accept: 'application/x-ndjson' },
    signal,
  })
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader()
  let text = ''
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return
    const lines = (text + value).split('\n')
    text = lines.pop()!
    for (const line of lines) if (line) yield JSON.parse(line)
  }
}

const tones = { enrolled: 'good', already_stored: 'neutral', refused: 'bad' } as const

function Result({ progress: { isDry, rows, totals }, isBusy }: { progress: Progress; isBusy: boolean }) {
  const { t } = useTranslation()
  const codeText = useCodeText()
  const outcomes = ['enrolled', 'already_stored', 'refused'] as const
  const figures = outcomes.map((outcome) => ({
    label: t(`photoOutcome.${outcome}`),
    value: rows.filter((row) => row.outcome === outcome).length,
    isBad: outcome === 'refused' && rows.some((row) => row.outcome === 'refused'),
  }))
  // What somebody has to look at comes first.
  const shown = [...rows.filter(isRefused), ...rows.filter((row) => !isRefused(row))].slice(0, SHOWN)
  return (
    <section aria-label={t('employees.result')} className="flex flex-col gap-3">
      <Figures figures={figures} />
      {totals && (
        <p role="status" className={totals.stopped ? 'text-bad' : 'text-good'}>
          {totals.stopped
            ? t('employees.photosStopped', { why: codeText(totals.stopped.code, totals.stopped.message) })
            : `✓ ${isDry ? t('employees.photosChecked') : t('employees.photosImported')}`}
        </p>
      )}
      {!totals && !isBusy && <p className="text-warn">{t('employees.photosBroken')}</p>}
      {shown.length > 0 && (
        <div className="max-h-72 overflow-auto rounded-xl border border-line">
          <Table
            caption={t('employees.result')}
            rows={{ data: shown, error: null }}
            rowKey={({ entry }) => entry}
            empty={null}
            columns={[
              {
                id: 'entry',
                header: t('employees.file'),
                cell: ({ entry }) => <span className="break-all">{entry}</span>,
              },
              {
                id: 'id',
                header: t('employeeColumn.employee_id'),
                cell: ({ employee_id }) => employee_id ?? '–',
              },
              {
                id: 'outcome',
                header: t('employees.result'),
                cell: ({ outcome, code, message }) => (
                  <>
                    <Badge tone={tones[outcome]} symbol={outcome === 'refused' ? '✕' : '✓'}>
                      {t(`photoOutcome.${outcome}`)}
                    </Badge>
                    {outcome === 'refused' && (
                      <p className="mt-1 text-sm">{codeText(code ?? '', message ?? '')}</p>
                    )}
                  </>
                ),
              },
            ]}
          />
        </div>
      )}
      {rows.length > SHOWN && (
        <p className="text-muted text-sm">
          {t('employees.moreRows', { shown: number(rows.length - SHOWN) })}
        </p>
      )}
    </section>
  )
}

const isRefused = ({ outcome }: Row) => outcome === 'refused'
