import { useMutation, useQueryClient } from '@tanstack/react-query'
import { type FormEvent, useState } from 'react'
import { useTranslation } from 'react-i18next'
import type { passwordChangeSchema } from '../../../src/access/schema.ts'
import { faultOf, type Sent } from '../../shared/api.ts'
import { Button } from '../../shared/button.tsx'
import { Field } from '../../shared/field.tsx'
import { Refusal } from '../../shared/refusal.tsx'
import { useToast } from '../../shared/toast.tsx'
import { Card } from '../page.tsx'
import { api } from '../session.ts'

/** Another password; whoever is signed in elsewhere with the old one is out. */
export function PasswordCard() {
  const { t } = useTranslation()
  const tell = useToast()
  const queries = useQueryClient()
  const [differ, setDiffer] = useState(false)
  const change = useMutation({
    mutationFn: (body: Sent<typeof passwordChangeSchema>) => api('/auth/password', { method: 'POST', body }),
    onSuccess: () => {
      queries.invalidateQueries({ queryKey: ['sessions'] })
      tell(t('account.passwordChanged'))
    },
  })
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    const form = event.currentTarget
    const data = new FormData(form)
    const isSame = data.get('new') === data.get('again')
    setDiffer(!isSame)
    if (!isSame) return
    const body = { current_password: String(data.get('current')), new_password: String(data.get('new')) }
    change.mutate(body, { onSuccess: () => form.reset() })
  }
  const fault = faultOf(change.error, 'new_password')
  return (
    <Card title={t('account.password')}>
      <form onSubmit={submit} className="flex flex-col gap-4 p-4">
        <Field
          label={t('account.current')}
          name="current"
          type="password"
          autoComplete="current-password"
          maxLength={200}
          required
        />
        <Field
          label={t('link.password')}
          hint={t('link.passwordHint')}
          error={fault}
          name="new"
          type="password"
          autoComplete="new-password"
          minLength={10}
          maxLength={200}
          required
        />
        <Field
          label={t('link.again')}
          error={differ && t('link.differ')}
          name="again"
          type="password"
          autoComplete="new-password"
          maxLength={200}
          required
        />
        <p className="text-muted text-sm">{t('account.passwordMeans')}</p>
        <Refusal error={fault ? undefined : change.error} />
        <div>
          <Button type="submit" look="primary" busy={change.isPending}>
            {t('account.changePassword')}
          </Button>
        </div>
      </form>
    </Card>
  )
}
