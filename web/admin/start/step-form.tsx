import type { FormEvent, ReactNode } from 'react'
import { useTranslation } from 'react-i18next'
import { Button } from '../../shared/button.tsx'
import { Refusal } from '../../shared/refusal.tsx'

interface StepFormProps {
  title: string
  about: ReactNode
  act: string
  busy: boolean
  error: unknown
  isDone: boolean
  onSubmit: (form: FormData) => void
  onSkip: () => void
  children: ReactNode
}

/** A step that asks for something, and may be left out. */
export function StepForm({
  title,
  about,
  act,
  busy,
  error,
  isDone,
  onSubmit,
  onSkip,
  children,
}: StepFormProps) {
  const { t } = useTranslation()
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    onSubmit(new FormData(event.currentTarget))
  }
  return (
    <form onSubmit={submit} className="flex max-w-xl flex-col gap-4">
      <h2 className="font-semibold text-xl">{title}</h2>
      <p className="text-muted">{about}</p>
      {children}
      <Refusal error={error} />
      <div className="flex flex-wrap gap-3">
        <Button type="submit" look="primary" busy={busy}>
          {act}
        </Button>
        <Button look="quiet" onClick={onSkip}>
          {t(isDone ? 'start.goOn' : 'start.skip')}
        </Button>
      </div>
    </form>
  )
}
