import { type FormEvent, useEffect, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { useErrorText } from '../shared/error-text.ts'
import type { Result } from './attendant.ts'
import { type Checked, checkPin, type Direction } from './check.ts'
import type { Kiosk } from './pairing.ts'

interface PinFormProps {
  kiosk: Kiosk
  direction: Direction
  /** Undefined where the person would rather not, or went away. */
  onAnswer: (result: Result | undefined) => void
}

/** Whoever leaves the form open is not waited for; it counts from the last key. */
const OPEN_MS = 45_000

/** One function for all renderings: another one would take the focus back with each key. */
const focus = (input: HTMLInputElement | null) => input?.focus()

/** For whom the camera does not recognise: employee code and PIN, where the site takes them. */
export function PinForm({ kiosk, direction, onAnswer }: PinFormProps) {
  const { t } = useTranslation()
  const errorText = useErrorText()
  const [isSending, setSending] = useState(false)
  const [fault, setFault] = useState<string>()
  const [keys, setKeys] = useState(0)
  useEffect(() => {
    if (isSending) return
    const timer = setTimeout(() => onAnswer(undefined), OPEN_MS)
    return () => clearTimeout(timer)
  }, [keys, isSending])

  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    const form = event.currentTarget
    const value = (name: string) => String(new FormData(form).get(name)).trim()
    setSending(true)
    setFault(undefined)
    try {
      const asked = { employeeCode: value('code'), pin: value('pin'), direction }
      const checked: Checked = await checkPin(kiosk, asked)
      if (checked.recognized) return onAnswer({ kind: 'punched', checked })
      setFault(t('refusal.wrong_pin'))
    } catch (error) {
      setFault(errorText(error))
    } finally {
      setSending(false)
    }
    form.querySelector<HTMLInputElement>('[name=pin]')?.select()
  }

  const box = 'rounded-2xl bg-white px-6 py-4 font-mono text-4xl text-black'
  const label = 'flex flex-col gap-2 font-semibold text-2xl sm:text-3xl'
  const button = 'min-h-20 flex-1 rounded-2xl font-semibold text-2xl'
  return (
    <form
      onSubmit={submit}
      onInput={() => setKeys((count) => count + 1)}
      onKeyDown={({ key }) => key === 'Escape' && !isSending && onAnswer(undefined)}
      aria-label={t('kiosk.byPin')}
      className="absolute inset-0 flex flex-col justify-center gap-6 overflow-y-auto bg-slate-900 p-6 sm:p-16"
    >
      <label className={label}>
        {t('kiosk.employeeCode')}
        <input
          name="code"
          autoComplete="off"
          autoCapitalize="none"
          spellCheck={false}
          maxLength={64}
          required
          // Not the autofocus attribute: the form appears where there was none.
          ref={focus}
          className={box}
        />
      </label>
      <label className={label}>
        {t('kiosk.pin')}
        <input
          name="pin"
          type="password"
          inputMode="numeric"
          autoComplete="off"
          pattern="[0-9]{4,8}"
          maxLength={8}
          required
          className={box}
        />
      </label>
      {fault && (
        <p role="alert" className="rounded-2xl bg-[#a3211a] px-6 py-4 font-semibold text-2xl">
          <span aria-hidden="true">✕ </span>
          {fault}
        </p>
      )}
      <div className="flex gap-4">
        <button
          type="button"
          onClick={() => onAnswer(undefined)}
          className={`${button} border-2 border-white/60`}
        >
          {t('common.cancel')}
        </button>
        <button type="submit" disabled={isSending} className={`${button} bg-white text-black`}>
          {t('kiosk.goOn')}
        </button>
      </div>
    </form>
  )
}
