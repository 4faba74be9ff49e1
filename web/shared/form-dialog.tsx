import type { FormEvent, ReactNode } from 'react'
import { useTranslation } from 'react-i18next'
import { Button } from './button.tsx'
import { Dialog } from './dialog.tsx'
import { Refusal } from './refusal.tsx'

interface FormDialogProps {
  title: ReactNode
  /** What the button says: the act itself. */
  act: ReactNode
  /** Of the act: `danger` where it takes something away. */
  look?: 'primary' | 'danger'
  busy: boolean
  /** Another act, beside the one that Enter does. */
  other?: ReactNode
  /** Of the last attempt; one that a field shows is left out. */
  error?: unknown
  onSubmit: (form: FormData) => void
  onClose: () => void
  children: ReactNode
}

/** A dialog that asks for something; Enter sends it. */
export function FormDialog({
  title,
  act,
  look = 'primary',
  busy,
  other,
  error,
  onSubmit,
  onClose,
  children,
}: FormDialogProps) {
  const { t } = useTranslation()
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    onSubmit(new FormData(event.currentTarget))
  }
  return (
    <Dialog title={title} onClose={onClose}>
      <form onSubmit={submit} className="flex flex-col gap-4">
        {children}
        <Refusal error={error} />
        <div className="flex flex-wrap justify-end gap-3">
          <Button onClick={onClose}>{t('common.cancel')}</Button>
          {other}
          <Button type="submit" look={look} busy={busy}>
            {act}
          </Button>
        </div>
      </form>
    </Dialog>
  )
}

/** What was typed in a field. */
export const typed = (form: FormData, name: string) => String(form.get(name) ?? '').trim()
