import { useMutation } from '@tanstack/react-query'
import { useTranslation } from 'react-i18next'
import { Button } from '../../shared/button.tsx'
import { useErrorText } from '../../shared/error-text.ts'
import { saveBlob } from '../../shared/save-blob.ts'
import { useToast } from '../../shared/toast.tsx'
import { request } from '../session.ts'
import type { Filter } from './filters.tsx'

const YEAR_MS = 365 * 24 * 3_600_000

/** What the filter matches, as a file. Without a beginning it is the last year: more at once the server does not give. */
export function ExportButtons({ filter, empty }: { filter: Filter; empty: boolean }) {
  const { t } = useTranslation()
  const errorText = useErrorText()
  const tell = useToast()
  const download = useMutation({
    mutationFn: async (format: 'csv' | 'xlsx') => {
      const end = filter.to ? Date.parse(filter.to) : Date.now()
      const from = filter.from ?? new Date(end - YEAR_MS).toISOString()
      const answer = await request('/attendance/export', { query: { ...filter, from, format } })
      saveBlob(await answer.blob(), `attendance.${format}`)
    },
    onError: (error) => tell(errorText(error), 'bad'),
  })
  return (
    <div className="flex flex-wrap gap-2">
      {(['csv', 'xlsx'] as const).map((format) => (
        <Button
          key={format}
          disabled={empty}
          busy={download.isPending}
          title={filter.from ? undefined : t('attendance.export.year')}
          onClick={() => download.mutate(format)}
        >
          {t(`attendance.export.${format}`)}
        </Button>
      ))}
    </div>
  )
}
