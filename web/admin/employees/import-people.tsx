import { useMutation, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import type { importSchema } from '../../../src/employees/schema.ts'
import type { Answer } from '../../shared/api.ts'
import { Button } from '../../shared/button.tsx'
import { Dialog } from '../../shared/dialog.tsx'
import { FileDrop } from '../../shared/file-drop.tsx'
import { number } from '../../shared/i18n.ts'
import { saveBlob } from '../../shared/save-blob.ts'
import { Table } from '../../shared/table.tsx'
import { api } from '../session.ts'
import { ErrorAlert } from './alert.tsx'
import { useRowFault } from './faults.ts'
import { Figures, Working } from './import-parts.tsx'

type Report = Answer<typeof importSchema>

const SHOWN = 200

/** People from a file: what would happen, what must be mended first, and then what has happened. */
export function ImportPeople({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation()
  const queries = useQueryClient()
  const [file, setFile] = useState<File>()
  const preview = useMutation({ mutationFn: (chosen: File) => sendPeople(chosen, true) })
  const run = useMutation({
    mutationFn: (chosen: File) => sendPeople(chosen, false),
    onSuccess: () => queries.invalidateQueries({ queryKey: ['employees'] }),
  })
  const choose = ([chosen]: File[]) => {
    setFile(chosen)
    run.reset()
    preview.mutate(chosen)
  }
  const report = preview.data
  const changes = report ? report.created + report.updated : 0
  if (run.data)
    return (
      <Dialog title={t('employees.import')} onClose={onClose} isWide>
        <p role="status" className="mb-4 font-medium text-good">
          ✓ {t('employees.imported')}
        </p>
        <Counts report={run.data} />
        <div className="mt-6 flex justify-end">
          <Button look="primary" onClick={onClose}>
            {t('common.close')}
          </Button>
        </div>
      </Dialog>
    )
  return (
    <Dialog title={t('employees.import')} onClose={onClose} isWide>
      <div className="flex flex-col gap-4">
        <p className="text-muted">
          {t('employees.importHow')}{' '}
          <button type="button" onClick={saveTemplate} className="text-accent underline">
            {t('employees.template')}
          </button>
        </p>
        <FileDrop
          label={file ? t('employees.otherFile', { name: file.name }) : t('employees.chooseFile')}
          hint={t('employees.fileHint')}
          accept=".csv,.xlsx,.txt,text/csv"
          onFiles={choose}
        />
        {preview.isPending && <Working>{t('employees.checking')}</Working>}
        <ErrorAlert error={preview.error} />
        {report && !preview.isPending && <Preview report={report} />}
        {run.isPending && <Working>{t('employees.importing')}</Working>}
        <ErrorAlert error={run.error} />
        <div className="flex flex-wrap justify-end gap-3">
          <Button onClick={onClose}>{t('common.cancel')}</Button>
          <Button
            look="primary"
            busy={run.isPending}
            disabled={!report?.success || preview.isPending || changes === 0}
            onClick={() => run.mutate(file!)}
          >
            {report?.success
              ? t('employees.importNow', { count: changes, shown: number(changes) })
              : t('employees.importAct')}
          </Button>
        </div>
      </div>
    </Dialog>
  )
}

function sendPeople(file: File, isDry: boolean): Promise<Report> {
  const body = new FormData()
  body.append('dry_run', String(isDry))
  body.append('file', file)
  return api('/employees/import', { method: 'POST', body })
}

function Counts({ report }: { report: Report }) {
  const { t } = useTranslation()
  const figures = (['created', 'updated', 'unchanged', 'failed'] as const).map((action) => ({
    label: t(`importAction.${action}`),
    value: report[action],
    isBad: action === 'failed' && report.failed > 0,
  }))
  return <Figures figures={figures} />
}

function Preview({ report }: { report: Report }) {
  const { t } = useTranslation()
  const rowFault = useRowFault()
  const faulty = report.rows.filter(({ action }) => action === 'failed')
  return (
    <section aria-label={t('employees.preview')} className="flex flex-col gap-3">
      <Counts report={report} />
      {report.ignored_columns.length > 0 && (
        <p className="text-sm text-warn">
          {t('employees.ignoredColumns', { columns: report.ignored_columns.join(', ') })}
        </p>
      )}
      {faulty.length === 0 ? (
        <p role="status" className="text-good">
          ✓ {t('employees.allGood')}
        </p>
      ) : (
        <>
          <p role="alert" className="text-bad">
            {t('employees.mendFirst', { count: faulty.length, shown: number(faulty.length) })}
          </p>
          <div className="max-h-72 overflow-auto rounded-xl border border-line">
            <Table
              caption={t('employees.faultyRows')}
              rows={{ data: faulty.slice(0, SHOWN), error: null }}
              rowKey={({ row }) => row}
              empty={null}
              columns={[
                { id: 'row', header: t('employees.row'), cell: ({ row }) => number(row) },
                {
                  id: 'id',
                  header: t('employeeColumn.employee_id'),
                  cell: ({ employee_id }) => employee_id ?? '–',
                },
                {
                  id: 'faults',
                  header: t('employees.faults'),
                  cell: ({ errors }) => errors.map((error) => <p key={error}>{rowFault(error)}</p>),
                },
              ]}
            />
          </div>
          {faulty.length > SHOWN && (
            <p className="text-muted text-sm">
              {t('employees.moreRows', { shown: number(faulty.length - SHOWN) })}
            </p>
          )}
        </>
      )}
    </section>
  )
}

/** The columns that an import knows, with somebody as an example; Excel reads it as it is. */
function saveTemplate(): void {
  const rows = [
    'employee_id;name;department;position;email;phone;site;is_active',
    'NV001;Nguyễn Văn An;Kế toán;Nhân viên;an@example.com;0901234567;;true',
  ]
  saveBlob(new Blob([`\uFEFF${rows.join('\r\n')}\r\n`], { type: 'text/csv' }), 'rollcall-employees.csv')
}
