import { useMutation } from '@tanstack/react-query'
import { useTranslation } from 'react-i18next'
import { Button } from '../../shared/button.tsx'
import { useErrorText } from '../../shared/error-text.ts'
import { saveBlob } from '../../shared/save-blob.ts'
import { useToast } from '../../shared/toast.tsx'
import { request } from '../session.ts'
import { filterQuery, type ListView } from './list-view.ts'

const formats = ['csv', 'xlsx'] as const

/** Everybody whom the filters let through, as a file. */
export function ExportButtons({ view }: { view: ListView }) {
  const { t } = useTranslation()
  const tell = useToast()
  const errorText = useErrorText()
  const save = useMutation({
    mutationFn: async (format: (typeof formats)[number]) => {
      const response = await request('/employees/export', { query: { ...filterQuery(view), format } })
      saveBlob(await response.blob(), `employees.${format}`)
    },
    onError: (error) => tell(errorText(error), 'bad'),
  })
  return (
    <fieldset className="flex flex-wrap items-center gap-1">
      <legend className="sr-only">{t('employees.export')}</legend>
      {formats.map((format) => (
        <Button
          key={format}
          look="quiet"
          busy={save.isPending && save.variables === format}
          onClick={() => save.mutate(format)}
        >
          {t('employees.exportAs', { format: format.toUpperCase() })}
        </Button>
      ))}
    </fieldset>
  )
}
