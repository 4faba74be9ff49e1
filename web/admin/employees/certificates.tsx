import { useQuery } from '@tanstack/react-query'
import { useTranslation } from 'react-i18next'
import { Badge } from '../../shared/badge.tsx'
import { Button } from '../../shared/button.tsx'
import { dateTime, number } from '../../shared/i18n.ts'
import { saveBlob } from '../../shared/save-blob.ts'
import { Table } from '../../shared/table.tsx'
import { api } from '../session.ts'
import { type Erasure, keyOf, pathOf } from './people.ts'

/** What was erased of a person, with what proves it; nothing is drawn where nothing was. */
export function Certificates({ employeeId }: { employeeId: string }) {
  const { t } = useTranslation()
  const erasures = useQuery({
    queryKey: keyOf(employeeId, 'erasures'),
    queryFn: () => api<Erasure[]>(`${pathOf(employeeId)}/erasures`),
  })
  if (!erasures.data?.length) return null
  return (
    <div className="border-line border-t">
      <h3 className="px-4 pt-3 font-medium">{t('employees.certificates')}</h3>
      <Table
        caption={t('employees.certificates')}
        rows={erasures}
        rowKey={({ erasure_id }) => erasure_id}
        empty={null}
        columns={[
          {
            id: 'at',
            header: t('employees.time'),
            cell: ({ at, reason }) => (
              <>
                <p>{dateTime(at)}</p>
                <p className="text-muted text-sm">{t(`erasedFor.${reason}`)}</p>
              </>
            ),
          },
          {
            id: 'what',
            header: t('employees.erasedWhat'),
            cell: ({ deleted_photos, deleted_face_templates, key_erased }) => (
              <>
                <p>
                  {t('employees.erasedCounts', {
                    photos: number(deleted_photos),
                    templates: number(deleted_face_templates),
                  })}
                </p>
                {key_erased && (
                  <Badge tone="good" symbol="✓">
                    {t('employees.keyErased')}
                  </Badge>
                )}
              </>
            ),
          },
          {
            id: 'save',
            header: '',
            alignRight: true,
            cell: (erasure) => (
              <Button
                look="quiet"
                onClick={() =>
                  saveBlob(
                    new Blob([JSON.stringify(erasure, null, 2)], { type: 'application/json' }),
                    `erasure-${erasure.erasure_id}.json`,
                  )
                }
              >
                {t('employees.save')}
              </Button>
            ),
          },
        ]}
      />
    </div>
  )
}
