import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useNavigate, useSearch } from '@tanstack/react-router'
import { type FormEvent, useState } from 'react'
import { useTranslation } from 'react-i18next'
import type { setupStateSchema } from '../../src/access/schema.ts'
import { type Answer, ApiError, send } from '../shared/api.ts'
import { Button } from '../shared/button.tsx'
import { useErrorText } from '../shared/error-text.ts'
import { Field } from '../shared/field.tsx'
import { Entrance } from './entrance.tsx'
import { signIn } from './session.ts'

/** Name and password, and then the code of the second factor where one is set up. */
export function SignInPage() {
  const { t } = useTranslation()
  const errorText = useErrorText()
  const { to = '/admin' } = useSearch({ from: '/admin/sign-in' })
  const navigate = useNavigate()
  const queries = useQueryClient()
  const [asksForCode, setAsksForCode] = useState(false)
  const [error, setError] = useState<unknown>()
  const [busy, setBusy] = useState(false)
  const setup = useQuery({
    queryKey: ['setup'],
    queryFn: async (): Promise<Answer<typeof setupStateSchema>> => (await send('/auth/setup')).json(),
  })

  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    const form = new FormData(event.currentTarget)
    const text = (name: string) => String(form.get(name) ?? '')
    setBusy(true)
    setError(undefined)
    try {
      await signIn({
        username: text('username').trim(),
        password: text('password'),
        ...(asksForCode && { code: text('code').replace(/\s/g, '') }),
      })
      queries.clear()
      await navigate({ to })
    } catch (problem) {
      if (problem instanceof ApiError && problem.code === 'code_required') setAsksForCode(true)
      else setError(problem)
    } finally {
      setBusy(false)
    }
  }

  return (
    <Entrance title={t('signIn.title')}>
      {setup.data?.needed && (
        <p className="mb-4 rounded-lg bg-info-soft p-3 text-info text-sm">{t('signIn.setupNeeded')}</p>
      )}
      <form onSubmit={submit} className="flex flex-col gap-4">
        <Field label={t('signIn.username')} name="username" autoComplete="username" required autoFocus />
        <Field
          label={t('signIn.password')}
          name="password"
          type="password"
          autoComplete="current-password"
          required
        />
        {asksForCode && (
          <Field
            label={t('signIn.code')}
            hint={t('signIn.codeHint')}
            name="code"
            inputMode="numeric"
            autoComplete="one-time-code"
            pattern="[0-9 ]{6,7}"
            required
            autoFocus
          />
        )}
        {error !== undefined && (
          <p role="alert" className="text-bad text-sm">
            {errorText(error)}
          </p>
        )}
        <Button type="submit" look="primary" busy={busy}>
          {t('signIn.act')}
        </Button>
      </form>
    </Entrance>
  )
}
