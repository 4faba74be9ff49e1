import { useNavigate } from '@tanstack/react-router'
import { type FormEvent, useEffect, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { send } from '../shared/api.ts'
import { Button } from '../shared/button.tsx'
import { useErrorText } from '../shared/error-text.ts'
import { Field } from '../shared/field.tsx'
import { Entrance } from './entrance.tsx'
import { setUp } from './session.ts'

/** Where the link that the server prints at its first start leads to: the first owner is made here. */
export function SetupPage() {
  const { t } = useTranslation()
  const navigate = useNavigate()
  const setUpOwner = async (token: string, password: string, username: string) => {
    await setUp({ token, password, username })
    await navigate({ to: '/admin/start' })
  }
  return <LinkForm title={t('link.setup')} act={setUpOwner} asksForName />
}

/** Where the link of an invitation or a reset leads to: a password is chosen here. */
export function ResetPage() {
  const { t } = useTranslation()
  const navigate = useNavigate()
  const choosePassword = async (token: string, password: string) => {
    await send('/auth/reset', { method: 'POST', body: { token, password } })
    await navigate({ to: '/admin/sign-in' })
  }
  return <LinkForm title={t('link.reset')} act={choosePassword} />
}

interface LinkFormProps {
  title: string
  asksForName?: boolean
  act: (token: string, password: string, username: string) => Promise<void>
}

function LinkForm({ title, asksForName, act }: LinkFormProps) {
  const { t } = useTranslation()
  const errorText = useErrorText()
  const [token] = useState(() => new URLSearchParams(location.search).get('token'))
  const [problem, setProblem] = useState<string | undefined>(token === null ? t('link.noToken') : undefined)
  const [busy, setBusy] = useState(false)
  // The address is copied and kept by browsers; the token in it has no business there.
  useEffect(() => history.replaceState(history.state, '', location.pathname), [])

  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    const form = new FormData(event.currentTarget)
    const text = (name: string) => String(form.get(name) ?? '')
    if (text('password') !== text('again')) return setProblem(t('link.differ'))
    setBusy(true)
    setProblem(undefined)
    try {
      await act(token ?? '', text('password'), text('username').trim())
    } catch (error) {
      setProblem(errorText(error))
    } finally {
      setBusy(false)
    }
  }

  return (
    <Entrance title={title}>
      <form onSubmit={submit} className="flex flex-col gap-4">
        {asksForName && (
          <Field
            label={t('signIn.username')}
            name="username"
            autoComplete="username"
            maxLength={254}
            required
            autoFocus
          />
        )}
        <Field
          label={t('link.password')}
          hint={t('link.passwordHint')}
          name="password"
          type="password"
          autoComplete="new-password"
          minLength={10}
          maxLength={200}
          required
        />
        <Field label={t('link.again')} name="again" type="password" autoComplete="new-password" required />
        {problem && (
          <p role="alert" className="text-bad text-sm">
            {problem}
          </p>
        )}
        <Button type="submit" look="primary" busy={busy} disabled={token === null}>
          {title}
        </Button>
      </form>
    </Entrance>
  )
}
