import '../shared/style.css'
import { startI18n } from '../shared/i18n.ts'
import { applyTheme } from '../shared/theme.ts'

applyTheme()
startI18n()
