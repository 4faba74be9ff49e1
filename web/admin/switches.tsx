import { useTranslation } from 'react-i18next'
import { chooseLanguage, type Language, languageNames, languages } from '../shared/i18n.ts'
import { type Theme, themes, useTheme } from '../shared/theme.ts'

const box = 'min-h-10 rounded-lg border border-line bg-surface px-2 text-sm'

/** Language and colours of this browser. */
export function Switches() {
  const { t, i18n } = useTranslation()
  const [theme, chooseTheme] = useTheme()
  return (
    <div className="flex flex-wrap gap-2">
      <select
        aria-label={t('common.language')}
        className={box}
        value={i18n.language}
        onChange={({ target }) => chooseLanguage(target.value as Language)}
      >
        {languages.map((language) => (
          <option key={language} value={language} lang={language}>
            {languageNames[language]}
          </option>
        ))}
      </select>
      <select
        aria-label={t('common.theme')}
        className={box}
        value={theme}
        onChange={({ target }) => chooseTheme(target.value as Theme)}
      >
        {themes.map((one) => (
          <option key={one} value={one}>
            {t(`theme.${one}`)}
          </option>
        ))}
      </select>
    </div>
  )
}
