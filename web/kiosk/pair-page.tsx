import { type FormEvent, useEffect, useRef, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { Button } from '../shared/button.tsx'
import { useErrorText } from '../shared/error-text.ts'
import { chooseLanguage, languageNames, languages } from '../shared/i18n.ts'
import { type Kiosk, pairKiosk } from './pairing.ts'

/** Takes the code that an administrator sees, typed or from the link in the QR code. */
export function PairPage({ onPaired }: { onPaired: (kiosk: Kiosk) => void }) {
  const { t, i18n } = useTranslation()
  const errorText = useErrorText()
  const [code, setCode] = useState(codeInAddress)
  const [problem, setProblem] = useState<string>()
  const [busy, setBusy] = useState(false)
  const tried = useRef(false)

  const pair = async (given: string) => {
    setBusy(true)
    setProblem(undefined)
    try {
      if (!window.isSecureContext) throw new Error(t('pair.insecure'))
      onPaired(await pairKiosk(given))
    } catch (error) {
      setProblem(window.isSecureContext ? errorText(error) : t('pair.insecure'))
      setBusy(false)
    }
  }

  useEffect(() => {
    // A code is good once: it has no business in the address any more.
    history.replaceState(null, '', '/kiosk')
    if (code !== '' && !tried.current) pair(code)
    tried.current = true
  }, [])

  const submit = (event: FormEvent) => {
    event.preventDefault()
    pair(code)
  }
  return (
    <main className="mx-auto flex min-h-dvh w-full max-w-xl flex-col justify-center gap-8 p-6">
      <div className="flex items-center gap-4">
        <img src="/icon.svg" alt="" width="64" height="64" />
        <h1 className="font-semibold text-3xl tracking-tight">{t('pair.title')}</h1>
      </div>
      <p className="text-lg text-muted">{t('pair.how')}</p>
      <form onSubmit={submit} className="flex flex-col gap-5">
        <label htmlFor="code" className="font-medium text-lg">
          {t('pair.code')}
        </label>
        <input
          id="code"
          value={code}
          onChange={({ target }) => setCode(target.value.toUpperCase())}
          placeholder="ABCD-EFGH"
          autoComplete="off"
          autoCapitalize="characters"
          spellCheck={false}
          maxLength={20}
          required
          className="rounded-2xl border-2 border-line bg-surface px-5 py-4 text-center font-mono text-4xl tracking-widest"
        />
        {problem && (
          <p role="alert" className="rounded-xl bg-bad-soft p-4 text-bad text-lg">
            {problem}
          </p>
        )}
        <Button type="submit" look="primary" busy={busy} className="min-h-16 text-xl">
          {t('pair.act')}
        </Button>
      </form>
      <div className="flex gap-3">
        {languages.map((language) => (
          <Button
            key={language}
            look={i18n.language === language ? 'primary' : 'plain'}
            onClick={() => chooseLanguage(language)}
            lang={language}
          >
            {languageNames[language]}
          </Button>
        ))}
      </div>
    </main>
  )
}

/** Of the link in the QR code: behind a # it is sent to nobody. */
const codeInAddress = () => decodeURIComponent(location.hash.slice(1))
