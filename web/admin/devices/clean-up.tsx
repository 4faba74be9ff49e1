import { useMutation, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import type { cleanupAnswer } from '../../../src/devices/schema.ts'
import type { Answer } from '../../shared/api.ts'
import { Button } from '../../shared/button.tsx'
import { Confirm } from '../../shared/dialog.tsx'
import { Refusal } from '../../shared/refusal.tsx'
import { useToast } from '../../shared/toast.tsx'
import { api } from '../session.ts'

/** Removes the deleted kiosks that no punch names. */
export function CleanUp() {
  const { t } = useTranslation()
  const tell = useToast()
  const queries = useQueryClient()
  const [isOpen, setOpen] = useState(false)
  const clean = useMutation({
    mutationFn: () => api<Answer<typeof cleanupAnswer>>('/devices/cleanup/deleted', { method: 'DELETE' }),
    onSuccess: ({ deleted }) => {
      queries.invalidateQueries({ queryKey: ['devices'] })
      tell(t('devices.cleaned', { count: deleted }))
      setOpen(false)
    },
  })
  return (
    <div className="border-line border-t p-4">
      <Button onClick={() => setOpen(true)}>{t('devices.clean')}</Button>
      {isOpen && (
        <Confirm
          title={t('devices.clean')}
          act={t('devices.clean')}
          busy={clean.isPending}
          onConfirm={() => clean.mutate()}
          onClose={() => setOpen(false)}
        >
          <p>{t('devices.cleanMeans')}</p>
          <Refusal error={clean.error} />
        </Confirm>
      )}
    </div>
  )
}
