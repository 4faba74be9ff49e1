import { useMutation, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import type { newKeyAnswer, newKeySchema } from '../../../src/access/schema.ts'
import { type Answer, faultOf, type Sent } from '../../shared/api.ts'
import { Button } from '../../shared/button.tsx'
import { Dialog } from '../../shared/dialog.tsx'
import { Field, Select } from '../../shared/field.tsx'
import { FormDialog, typed } from '../../shared/form-dialog.tsx'
import { SecretText } from '../../shared/secret-text.tsx'
import { api, useMe } from '../session.ts'
import { isScope, type Scope, scopeText } from './scopes.ts'

const DAY_MS = 24 * 60 * 60_000
const days = ['30', '90', '365', ''] as const

/** Makes a key with what was chosen, and shows it once. */
export function MakeKey({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation()
  const { me } = useMe()
  const queries = useQueryClient()
  const [noneChosen, setNoneChosen] = useState(false)
  const make = useMutation({
    mutationFn: (body: Sent<typeof newKeySchema>) =>
      api<Answer<typeof newKeyAnswer>>('/auth/api-keys', { method: 'POST', body }),
    onSuccess: () => queries.invalidateQueries({ queryKey: ['api-keys'] }),
  })
  const submit = (form: FormData) => {
    const scopes = form.getAll('scopes') as Scope[]
    setNoneChosen(scopes.length === 0)
    if (scopes.length === 0) return
    const lasts = Number(typed(form, 'days'))
    const expires_at = lasts > 0 ? new Date(Date.now() + lasts * DAY_MS).toISOString() : undefined
    make.mutate({ name: typed(form, 'name'), scopes, expires_at })
  }
  if (make.data)
    return (
      <Dialog title={t('access.keyOf', { name: make.data.name })} onClose={onClose}>
        <p className="mb-4 text-muted">{t('access.keyOnce')}</p>
        <SecretText label={t('access.key')} value={make.data.key} />
        <div className="mt-6 flex justify-end">
          <Button look="primary" onClick={onClose}>
            {t('common.close')}
          </Button>
        </div>
      </Dialog>
    )
  return (
    <FormDialog
      title={t('access.makeKey')}
      act={t('access.makeKey')}
      busy={make.isPending}
      error={make.error}
      onSubmit={submit}
      onClose={onClose}
    >
      <Field
        label={t('access.name')}
        hint={t('access.keyNameHint')}
        error={faultOf(make.error, 'name')}
        name="name"
        maxLength={200}
        autoComplete="off"
        required
      />
      <Select label={t('access.expires')} name="days" defaultValue="365">
        {days.map((count) => (
          <option key={count} value={count}>
            {count === '' ? t('access.noExpiry') : t('access.inDays', { count: Number(count) })}
          </option>
        ))}
      </Select>
      <fieldset
        className="flex flex-col gap-1.5"
        aria-describedby={noneChosen ? 'scopes-missing' : undefined}
      >
        <legend className="mb-1 font-medium text-sm">{t('access.mayDo')}</legend>
        {me?.permissions.filter(isScope).map((scope) => (
          <label key={scope} className="flex items-start gap-2">
            <input
              type="checkbox"
              name="scopes"
              value={scope}
              className="mt-1 size-4 shrink-0 accent-accent"
            />
            <span>
              {t(scopeText(scope))} <code className="text-muted text-sm">{scope}</code>
            </span>
          </label>
        ))}
        {noneChosen && (
          <p id="scopes-missing" role="alert" className="text-bad text-sm">
            {t('access.chooseOne')}
          </p>
        )}
      </fieldset>
    </FormDialog>
  )
}
