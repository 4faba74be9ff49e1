import { useMutation, useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { Badge } from '../../shared/badge.tsx'
import { Button } from '../../shared/button.tsx'
import { Confirm } from '../../shared/dialog.tsx'
import { dateTime, number, percent } from '../../shared/i18n.ts'
import { Table } from '../../shared/table.tsx'
import { useToast } from '../../shared/toast.tsx'
import { Card } from '../page.tsx'
import { api, useMe } from '../session.ts'
import { ErrorAlert } from './alert.tsx'
import { useDone } from './done.ts'
import { usePeopleError } from './faults.ts'
import { type Employee, keyOf, pathOf, type Template } from './people.ts'

/** What is compared at the kiosks. */
export function TemplatesCard({ employee }: { employee: Employee }) {
  const { t } = useTranslation()
  const { may } = useMe()
  const tell = useToast()
  const errorOf = usePeopleError()
  const [chosen, setChosen] = useState<Template>()
  const path = `${pathOf(employee.employee_id)}/templates`
  const templates = useQuery({
    queryKey: keyOf(employee.employee_id, 'templates'),
    queryFn: () => api<Template[]>(path),
  })
  const done = useDone(employee, () => {})
  const rebuild = useMutation({
    mutationFn: () => api(`${path}/rebuild`, { method: 'POST' }),
    onSuccess: () => done(t('employees.rebuilt')),
    onError: (error) => tell(errorOf(error), 'bad'),
  })
  const mayChange = may('biometrics:write')
  return (
    <Card
      title={t('employees.templates')}
      aside={
        mayChange && (
          <Button busy={rebuild.isPending} onClick={() => rebuild.mutate()}>
            {t('employees.rebuild')}
          </Button>
        )
      }
    >
      <Table
        caption={t('employees.templates')}
        rows={templates}
        rowKey={({ template_id }) => template_id}
        empty={t('employees.noTemplates')}
        columns={[
          {
            id: 'from',
            header: t('employees.slot'),
            cell: ({ image_id, created_from, pack }) => (
              <>
                <p>
                  {image_id} ·{' '}
                  {created_from === 'ATTENDANCE' ? t('employees.learned') : t('employees.fromPhotos')}
                </p>
                <p className="text-muted text-sm">{pack}</p>
              </>
            ),
          },
          {
            id: 'quality',
            header: t('employees.qualityOf'),
            alignRight: true,
            cell: ({ quality_score }) => percent(quality_score),
          },
          {
            id: 'matches',
            header: t('employees.matches'),
            alignRight: true,
            cell: ({ match_count, last_matched }) => (
              <>
                <p>{number(match_count)}</p>
                {last_matched && <p className="text-muted text-sm">{dateTime(last_matched)}</p>}
              </>
            ),
          },
          {
            id: 'state',
            header: t('employees.stateOf'),
            cell: (template) => <TemplateState {...template} />,
          },
          ...(mayChange
            ? [
                {
                  id: 'acts',
                  header: '',
                  alignRight: true,
                  cell: (template: Template) => (
                    <Button look="quiet" onClick={() => setChosen(template)}>
                      {t('employees.delete')}
                    </Button>
                  ),
                },
              ]
            : []),
        ]}
      />
      {chosen && (
        <DeleteTemplate employee={employee} template={chosen} onClose={() => setChosen(undefined)} />
      )}
    </Card>
  )
}

function TemplateState({ is_suspended, active_from }: Template) {
  const { t } = useTranslation()
  if (is_suspended)
    return (
      <Badge tone="warn" symbol="!">
        {t('employees.suspended')}
      </Badge>
    )
  if (active_from && new Date(active_from) > new Date())
    return <Badge tone="info">{t('employees.activeFrom', { time: dateTime(active_from) })}</Badge>
  return (
    <Badge tone="good" symbol="●">
      {t('employees.inUse')}
    </Badge>
  )
}

function DeleteTemplate({
  employee,
  template,
  onClose,
}: {
  employee: Employee
  template: Template
  onClose: () => void
}) {
  const { t } = useTranslation()
  const done = useDone(employee, onClose)
  const remove = useMutation({
    mutationFn: () =>
      api(`${pathOf(employee.employee_id)}/templates/${template.template_id}`, { method: 'DELETE' }),
    onSuccess: () => done(t('employees.templateDeleted')),
  })
  return (
    <Confirm
      title={t('employees.deleteTemplate')}
      act={t('employees.delete')}
      busy={remove.isPending}
      onConfirm={() => remove.mutate()}
      onClose={onClose}
    >
      <p>
        {template.created_from === 'ATTENDANCE'
          ? t('employees.deleteLearnedMeans')
          : t('employees.deleteTemplateMeans', { name: employee.name })}
      </p>
      <ErrorAlert error={remove.error} />
    </Confirm>
  )
}
